"""Accuracy of tags: the share of words whose tag is right, as in the CoNLL shared tasks and Universal Dependencies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tagdistill.evaluation.metric import MetricResult, percent

if TYPE_CHECKING:
    from tagdistill.data.span_counts import Sentences


def score(gold: Sentences, predicted: Sentences) -> MetricResult:
    """Return the accuracy over all words, and for each gold tag over its own words."""
    support, correct = Counter[str](), Counter[str]()
    for true, ours in zip(gold, predicted, strict=True):
        support.update(true)
        correct.update(tag for tag, other in zip(true, ours, strict=True) if tag == other)
    return MetricResult(
        score="accuracy",
        scorer="tagdistill",
        scheme="tags",
        values={"accuracy": percent(correct.total(), support.total())},
        support=support.total(),
        per_label={
            tag: {"accuracy": percent(correct[tag], number), "support": number}
            for tag, number in sorted(support.items())
        },
    )
