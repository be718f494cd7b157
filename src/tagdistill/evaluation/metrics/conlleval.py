"""F1 of spans as conlleval reads them, which is seqeval's default: ill-formed label sequences hold spans, too.

A span begins wherever the type changes, and ends at the next break. It is lenient: where labels are ill-formed, the
strict reading of `span_f1` finds no span. On well-formed labels both readings are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data.labels import runs, well_formed
from tagdistill.evaluation.metric import MetricResult
from tagdistill.evaluation.span_sets import by_type, size, span_sets, totals

if TYPE_CHECKING:
    from tagdistill.data.span_counts import Sentences


def score(gold: Sentences, predicted: Sentences) -> MetricResult:
    """Return micro-averaged precision, recall and F1, and the same for each span type.

    `ill_formed` counts the sentences whose predicted labels are no well-formed BIOES.
    """
    true, ours = span_sets(gold, runs), span_sets(predicted, runs)
    return MetricResult(
        score="f1",
        scorer="conlleval",
        scheme="lenient",
        values=totals(true, ours),
        support=size(true),
        per_label=by_type(true, ours),
        extra={"ill_formed": sum(not well_formed(sentence) for sentence in predicted)},
    )
