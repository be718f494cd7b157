"""Counts of spans: those of the gold labels, those predicted, and those in both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tagdistill.evaluation.metric import precision_recall_f1

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tagdistill.data.labels import Span
    from tagdistill.data.span_counts import Sentences


@dataclass(frozen=True)
class SpanCounts:
    """How many spans of each type there are."""

    gold: Counter[str] = field(default_factory=Counter)
    predicted: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)

    def totals(self) -> dict[str, float]:
        """Return micro-averaged precision, recall and F1 in per cent."""
        return precision_recall_f1(self.correct.total(), self.predicted.total(), self.gold.total())

    def by_type(self) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 in per cent, and support, for each span type."""
        correct, predicted, gold = self.correct, self.predicted, self.gold
        return {
            kind: {**precision_recall_f1(correct[kind], predicted[kind], gold[kind]), "support": gold[kind]}
            for kind in sorted(gold | predicted)
        }


def count_spans(gold: Sentences, predicted: Sentences, read: Callable[[Sequence[str]], Iterable[Span]]) -> SpanCounts:
    """Count the spans of all sentences; `read` says which spans the labels of one hold."""
    counts = SpanCounts()
    for true, ours in zip(gold, predicted, strict=True):
        left, right = set(read(true)), set(read(ours))
        counts.gold.update(kind for kind, *_ in left)
        counts.predicted.update(kind for kind, *_ in right)
        counts.correct.update(kind for kind, *_ in left & right)
    return counts
