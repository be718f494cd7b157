"""Counts of spans: those of the gold labels, those predicted, and those in both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tagdistill.evaluation.metric import precision_recall_f1

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tagdistill.data.labels import Span
    from tagdistill.data.span_counts import Sentences

    SpanSets = list[set[Span]]  # one set per sentence


def span_sets(sentences: Sentences, read: Callable[[Sequence[str]], Iterable[Span]]) -> SpanSets:
    """Return the spans of each sentence; `read` says which spans its labels hold."""
    return [set(read(sentence)) for sentence in sentences]


def size(sentences: SpanSets) -> int:
    """Return the number of spans."""
    return sum(map(len, sentences))


def shared(true: SpanSets, ours: SpanSets) -> int:
    """Return the number of spans that are in both."""
    return sum(len(left & right) for left, right in zip(true, ours, strict=True))


def totals(true: SpanSets, ours: SpanSets) -> dict[str, float]:
    """Return micro-averaged precision, recall and F1 in per cent."""
    return precision_recall_f1(shared(true, ours), size(ours), size(true))


def by_type(true: SpanSets, ours: SpanSets) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1 in per cent, and support, for each span type."""
    gold = Counter(kind for sentence in true for kind, *_ in sentence)
    predicted = Counter(kind for sentence in ours for kind, *_ in sentence)
    correct = Counter(kind for left, right in zip(true, ours, strict=True) for kind, *_ in left & right)
    return {
        kind: {**precision_recall_f1(correct[kind], predicted[kind], gold[kind]), "support": gold[kind]}
        for kind in sorted(gold | predicted)
    }
