"""F1 of spans as conlleval reads them, which is seqeval's default: ill-formed label sequences hold spans, too.

A span begins wherever the type changes, and ends at the next break. It is lenient: where labels are ill-formed, the
strict reading of `span_f1` finds no span. On well-formed labels both readings are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data.labels import runs, well_formed
from tagdistill.evaluation.metric import MetricResult
from tagdistill.evaluation.span_sets import count_spans

if TYPE_CHECKING:
    from tagdistill.data.span_counts import Sentences


def score(gold: Sentences, predicted: Sentences) -> MetricResult:
    """Return micro-averaged precision, recall and F1, and the same for each span type.

    `ill_formed` counts the sentences whose predicted labels are no well-formed BIOES.
    """
    counts = count_spans(gold, predicted, runs)
    return MetricResult(
        score="f1",
        scorer="conlleval",
        scheme="lenient",
        values=counts.totals(),
        support=counts.gold.total(),
        per_label=counts.by_type(),
        extra={"ill_formed": sum(not well_formed(sentence) for sentence in predicted)},
    )
