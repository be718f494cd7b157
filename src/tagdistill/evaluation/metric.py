"""What a metric returns: values in per cent, over all labels and for each label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DECIMALS = 6  # of a per cent: further digits are rounding noise


@dataclass(frozen=True)
class MetricResult:
    """The values of one metric on one test set.

    `values` are floats in per cent, by name, and `score` names the one to report, such as f1 beside precision and
    recall. `support` counts what is scored: words or gold spans. `per_label` holds the same values and `support` for
    each tag or span type. `scorer` is the software that defines the values, `scheme` how the labels are read. `extra`
    is written to the metrics JSON as it stands.
    """

    score: str
    scorer: str
    scheme: str
    values: dict[str, float]
    support: int
    per_label: dict[str, dict[str, float]]
    extra: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the fields of the metrics JSON."""
        return {
            "score": self.score,
            "scorer": self.scorer,
            "scheme": self.scheme,
            **self.values,
            "support": self.support,
            "per_label": self.per_label,
            **self.extra,
        }


def percent(part: int, whole: int) -> float:
    """Return `part` in per cent of `whole`; 0 where `whole` is 0, as in seqeval.

    >>> percent(1, 3), percent(0, 0)
    (33.333333, 0.0)
    """
    return round(100.0 * part / whole, DECIMALS) if whole else 0.0


def precision_recall_f1(correct: int, predicted: int, gold: int) -> dict[str, float]:
    """Return precision, recall and F1 in per cent from three counts of spans.

    >>> precision_recall_f1(1, 2, 4)
    {'precision': 50.0, 'recall': 25.0, 'f1': 33.333333}
    """
    return {
        "precision": percent(correct, predicted),
        "recall": percent(correct, gold),
        "f1": percent(2 * correct, predicted + gold),
    }
