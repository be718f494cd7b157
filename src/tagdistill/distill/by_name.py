"""What only students with teachers load, by name: a teacher's rerun key does not contain it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from tagdistill.settings.objectives import TEACHER_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tagdistill.distill.dataset import CorpusFiles, Source
    from tagdistill.settings.distill import ResolvedObjective

    WithTeacher = Callable[[Source, CorpusFiles, Sequence[str], ResolvedObjective, Path | None], Source]


def load_with_teacher() -> WithTeacher:
    """Return `with_teacher`, which adds the values of a teacher to a corpus."""
    return cast("WithTeacher", import_module(TEACHER_FILES).with_teacher)
