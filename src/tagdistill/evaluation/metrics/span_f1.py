"""Strict F1 of spans by seqeval: a span counts if its type and both boundaries are right; only whole BIOES spans count.

`known_types` holds the same without predicted spans of types that the gold labels of the test set lack.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from tagdistill.data.labels import spans
from tagdistill.errors import MismatchError
from tagdistill.evaluation.metric import DECIMALS, MetricResult, precision_recall_f1
from tagdistill.evaluation.span_sets import SpanCounts, count_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.data.span_counts import Sentences

AT_ONCE = 1000  # sentences that seqeval holds at a time
TOLERANCE = 10 * 10**-DECIMALS  # per cent


def score(gold: Sentences, predicted: Sentences) -> MetricResult:
    """Return micro-averaged precision, recall and F1, and the same for each span type.

    Raises MismatchError where seqeval and our own count of spans disagree.
    """
    counts = count_spans(gold, predicted, spans)
    per_label = _seqeval(gold, predicted)
    _check_agreement(per_label, counts.by_type())
    return MetricResult(
        score="f1",
        scorer="seqeval strict",
        scheme="IOBES",
        values=counts.totals(),
        support=counts.gold.total(),
        per_label=per_label,
        extra=_known_types(counts),
    )


def _known_types(counts: SpanCounts) -> dict[str, Any]:
    """Return the scores without predicted spans of types that the gold labels lack; nothing where there are none."""
    predictions, known = counts.predicted.total(), sum(counts.predicted[kind] for kind in counts.gold)
    if not counts.gold or known == predictions:
        return {}
    values = precision_recall_f1(counts.correct.total(), known, counts.gold.total())
    left_out = {"types": sorted(counts.gold), "predicted": predictions, "left_out": predictions - known}
    return {"known_types": {**values, **left_out}}


def _seqeval(gold: Sentences, predicted: Sentences) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support for each span type, of seqeval's spans and by its formulas.

    Of seqeval this is `seqeval.metrics.v1.precision_recall_fscore_support`, whose module imports scikit-learn for the
    sake of a warning.
    """
    from seqeval.scheme import IOBES, Entities

    counts = SpanCounts()
    sentences = zip(gold, predicted, strict=True)
    while some := list(islice(sentences, AT_ONCE)):
        true, ours = (Entities([list(sentence) for sentence in part], IOBES) for part in zip(*some, strict=True))
        for name in true.unique_tags | ours.unique_tags:
            spans_true, spans_ours = true.filter(name), ours.filter(name)
            counts.gold[name] += len(spans_true)
            counts.predicted[name] += len(spans_ours)
            counts.correct[name] += len(spans_true & spans_ours)
    return {name: _scores(counts, name) for name in sorted(counts.gold | counts.predicted)}


def _scores(counts: SpanCounts, name: str) -> dict[str, float]:
    correct, support = counts.correct[name], counts.gold[name]
    precision, recall = (correct / number if number else 0.0 for number in (counts.predicted[name], support))
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {**_per_cent((precision, recall, f1)), "support": support}


def _per_cent(shares: Sequence[float]) -> dict[str, float]:
    names = ("precision", "recall", "f1")
    return {name: round(100.0 * share, DECIMALS) for name, share in zip(names, shares, strict=True)}


def _check_agreement(seqeval: dict[str, dict[str, float]], own: dict[str, dict[str, float]]) -> None:
    """Refuse scores on which two independent implementations disagree."""
    same = own.keys() == seqeval.keys() and all(
        abs(value - seqeval[kind][name]) <= TOLERANCE for kind, values in own.items() for name, value in values.items()
    )
    if not same:
        raise MismatchError(
            f"seqeval and our own count of spans disagree: {seqeval} against {own}",
            hint="This is a defect: please report the labels of the test set and the version of seqeval.",
        )
