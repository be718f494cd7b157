"""What only students with teachers load, by name: a teacher's rerun key does not contain it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from tagdistill.distill.losses import loss_module
from tagdistill.settings.objectives import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tagdistill.distill.dataset import CorpusFiles, Source
    from tagdistill.settings.objectives import Objective

    WithTeacher = Callable[[Source, CorpusFiles, Sequence[str], Objective], Source]

TEACHER_FILES = "tagdistill.distill.teacher_files"


def student_modules(objective: str | None) -> tuple[str, ...]:
    """Return the modules that training with an objective loads by name, for `code_key`; none for teachers (None)."""
    if objective is None or not OBJECTIVES[objective].needs:
        return ()
    return (loss_module(objective), TEACHER_FILES)


def load_with_teacher() -> WithTeacher:
    """Return `with_teacher`, which adds the values of a teacher to a corpus."""
    return cast("WithTeacher", import_module(TEACHER_FILES).with_teacher)
