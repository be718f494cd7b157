"""The distillation losses, one module per objective that has teachers (Wang et al. 2020, section 3).

Each module has one function `loss`, which maps the student's chain, its teachers' values and a temperature to one loss
per sentence: a sum over words, never a mean, so that it stands beside the gold loss as in the paper's equations.

A module is imported by its objective's name, so that the rerun key of a training job holds only its own loss.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from tagdistill.settings.objectives import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tagdistill.crf import LinearChain
    from tagdistill.distill.teacher_values import Losses, TeacherValues

    Loss = Callable[[LinearChain, TeacherValues, float], Losses]


def load_loss(objective: str) -> Loss:
    """Return the loss of an objective. Raises ValueError for one that has no teachers, and so no loss."""
    if not OBJECTIVES[objective].needs:
        raise ValueError(f"the objective {objective!r} has no teachers")
    return cast("Loss", import_module(OBJECTIVES[objective].loss_module).loss)
