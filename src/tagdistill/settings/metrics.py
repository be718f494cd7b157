"""Which metrics score a task: the one place where a metric is named.

A metric is a module of `tagdistill.evaluation.metrics`, which jobs load by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.settings.names import module_of

if TYPE_CHECKING:
    from tagdistill.settings.base import Task

FOLDER = "evaluation/metrics"
_TAGS = ("accuracy",)
_SPANS = ("span_f1", "conlleval")
# The first is the main metric of the task: it fills the report's tables. Any others stand beside it, and score the
# labels of unconstrained decoding.
METRICS: dict[Task, tuple[str, ...]] = {"pos": _TAGS, "ner": _SPANS, "aspect": _SPANS}


def metric_modules(task: Task) -> tuple[str, ...]:
    """Return the full names of the modules that score a task.

    >>> metric_modules("pos")
    ('tagdistill.evaluation.metrics.accuracy',)
    """
    return tuple(module_of(FOLDER, name) for name in METRICS[task])
