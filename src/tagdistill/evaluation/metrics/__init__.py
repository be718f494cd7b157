"""The metrics, one module each, loaded by name: the rerun key of an evaluation holds only those of its task.

Each module has one function `score`, which maps gold and predicted labels to a `MetricResult`. Which metrics a task has
is in `tagdistill.settings.metrics`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from tagdistill.data.labels import has_spans
from tagdistill.data.span_counts import sentence_counts
from tagdistill.errors import DataError
from tagdistill.evaluation.metrics_file import counts_as_text
from tagdistill.settings.metrics import FOLDER, METRICS
from tagdistill.settings.names import module_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tagdistill.data.span_counts import Sentences
    from tagdistill.evaluation.metric import MetricResult
    from tagdistill.settings.base import Decode, Task

    Metric = Callable[[Sentences, Sentences], MetricResult]


def load_metric(name: str) -> Metric:
    """Return the `score` function of a metric. Raises ModuleNotFoundError for a name that no module has."""
    return cast("Metric", import_module(module_of(FOLDER, name)).score)


def decodings(labels: Sequence[str], decode: Decode) -> list[Decode]:
    """Return how a text is decoded: as asked for and, for spans, the other way too, to show both scores."""
    both: list[Decode] = ["unconstrained", "constrained"]
    return both if has_spans(labels) else [decode]


def score(
    task: Task,
    gold: Sentences,
    predicted: Sentences,
    labels: Iterable[str],
    *,
    beside: Mapping[Decode, Sentences] | None = None,
) -> dict[str, Any]:
    """Return the scores of a test set, as they are written to the metrics JSON.

    The main metric of the task fills the record. `further` holds, by name, the main metric of each other decoding that
    is given `beside`, and further metrics: those are of unconstrained decoding, if it is among them. `sentence_counts`
    holds what `read_counts` reads. Raises DataError for sequences of unequal length and for labels outside `labels`.
    """
    beside, known = beside or {}, set(labels)
    for found in (predicted, *beside.values()):
        _check(gold, found, known)
    main, *others = METRICS[task]
    further: dict[str, Any] = {decode: load_metric(main)(gold, found).record() for decode, found in beside.items()}
    free = beside.get("unconstrained", predicted)
    further |= {name: load_metric(name)(gold, free).record() for name in others}
    return {
        "task": task,
        **load_metric(main)(gold, predicted).record(),
        **({"further": further} if further else {}),
        "sentences": len(gold),
        "words": sum(map(len, gold)),
        "sentence_counts": counts_as_text(sentence_counts(task, gold, predicted)),
    }


def _check(gold: Sentences, predicted: Sentences, labels: set[str]) -> None:
    if not gold:
        raise DataError("no sentences to score")
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} sentences of gold labels, {len(predicted)} predicted")
    for number, (left, right) in enumerate(zip(gold, predicted, strict=True), start=1):
        where = f"sentence {number}"
        if len(left) != len(right):
            raise DataError(f"{len(left)} gold labels, {len(right)} predicted", where=where)
        if unknown := (set(left) | set(right)) - labels:
            raise DataError(f"labels outside the label list: {sorted(unknown)}", where=where)
