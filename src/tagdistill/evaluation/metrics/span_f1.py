"""Strict F1 of spans by seqeval: a span counts if its type and both boundaries are right; only whole BIOES spans count.

`known_types` holds the same without predicted spans of types that the gold labels of the test set lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.data.labels import spans
from tagdistill.errors import MismatchError
from tagdistill.evaluation.metric import DECIMALS, MetricResult
from tagdistill.evaluation.span_sets import by_type, size, span_sets, totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.data.span_counts import Sentences
    from tagdistill.evaluation.span_sets import SpanSets

TOLERANCE = 10 * 10**-DECIMALS  # per cent


def score(gold: Sentences, predicted: Sentences) -> MetricResult:
    """Return micro-averaged precision, recall and F1, and the same for each span type.

    Raises MismatchError where seqeval and our own count of spans disagree.
    """
    true, ours = span_sets(gold, spans), span_sets(predicted, spans)
    per_label = _seqeval(gold, predicted)
    _check_agreement(per_label, by_type(true, ours))
    return MetricResult(
        score="f1",
        scorer="seqeval strict",
        scheme="IOBES",
        values=totals(true, ours),
        support=size(true),
        per_label=per_label,
        extra=_known_types(true, ours),
    )


def _known_types(true: SpanSets, ours: SpanSets) -> dict[str, Any]:
    """Return the scores without predicted spans of types that the gold labels lack; nothing where there are none."""
    types = {kind for sentence in true for kind, *_ in sentence}
    kept = [{span for span in sentence if span[0] in types} for sentence in ours]
    predictions, known = size(ours), size(kept)
    if not types or known == predictions:
        return {}
    values = totals(true, kept)
    counts = {"types": sorted(types), "predicted": predictions, "left_out": predictions - known}
    return {"known_types": {**values, **counts}}


def _seqeval(gold: Sentences, predicted: Sentences) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support for each span type, of seqeval's spans and by its formulas.

    Of seqeval this is `seqeval.metrics.v1.precision_recall_fscore_support`, whose module imports scikit-learn for the
    sake of a warning.
    """
    from seqeval.scheme import IOBES, Entities

    true, ours = (Entities([list(sentence) for sentence in sentences], IOBES) for sentences in (gold, predicted))
    found = {}
    for name in sorted(true.unique_tags | ours.unique_tags):
        spans_true, spans_ours = true.filter(name), ours.filter(name)
        correct = len(spans_true & spans_ours)
        precision, recall = (correct / len(all_of) if all_of else 0.0 for all_of in (spans_ours, spans_true))
        f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
        found[name] = {**_per_cent((precision, recall, f1)), "support": len(spans_true)}
    return found


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
