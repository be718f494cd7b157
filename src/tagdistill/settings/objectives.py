"""The objectives, one row each: what a student reads of its teachers, and what it is compared with.

The losses are in `tagdistill.distill.losses`, one module per objective that has teachers. A new objective is a row here
and a module there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tagdistill.settings.names import LOSSES, module_of

if TYPE_CHECKING:
    from tagdistill.settings.base import Decoder

TEACHER_FILES = "tagdistill.distill.teacher_files"
MAX_LABELS = 256  # of targets, whose paths have one byte per label


@dataclass(frozen=True)
class Objective:
    """One objective of students.

    `targets` and `scores` name the fields of `TeacherValues` that its loss reads, by the file of a teacher that they
    come from: targets.parquet or scores.parquet. An objective that names none has no teachers.
    """

    name: str
    targets: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    teacher_decoder: Decoder | None = None  # None: it has no teachers
    decoder: Decoder = "crf"  # of the student
    reference: str = "baseline"  # the objective without teachers whose students have the same decoder
    tempered: bool = False  # whether the temperature changes its loss
    gold_only: bool = False  # labelled text is learned from its gold labels alone, whatever `anneal` says

    @property
    def needs(self) -> tuple[str, ...]:
        """The files of a teacher that it reads: "targets", "scores", both or none."""
        files = {"targets": self.targets, "scores": self.scores}
        return tuple(file for file, fields in files.items() if fields)

    @property
    def averages(self) -> bool:
        """Whether it can learn from the average of several teachers, which is no chain: it has no scores."""
        return not {"emissions", "transitions"} & set(self.scores)

    @property
    def reads_paths(self) -> bool:
        """Whether the number of paths, k, changes its loss."""
        return "path_log_prob" in self.targets

    @property
    def loss_module(self) -> str:
        """The full name of the module that holds its loss, for an objective that has teachers."""
        return module_of(LOSSES, self.name.replace("+", "_"))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that only its own training loads, by name: its loss and what reads its teachers' files."""
        return (self.loss_module, TEACHER_FILES) if self.needs else ()


_PATHS = ("paths", "path_log_prob")
_ROWS = (
    Objective("baseline"),
    Objective("softmax", decoder="softmax", reference="softmax"),
    Objective(
        "token",
        targets=("log_posterior",),
        teacher_decoder="softmax",
        decoder="softmax",
        reference="softmax",
        tempered=True,
    ),
    Objective("emission", scores=("emissions",), teacher_decoder="crf", tempered=True),
    Objective("top_k", targets=_PATHS, teacher_decoder="crf"),
    Objective("top_wk", targets=_PATHS, teacher_decoder="crf"),
    Objective("posterior", targets=("log_posterior",), teacher_decoder="crf", tempered=True),
    Objective("posterior+top_wk", targets=("log_posterior", *_PATHS), teacher_decoder="crf", tempered=True),
    Objective("pseudo_labels", targets=("paths",), teacher_decoder="crf", gold_only=True),
    Objective("structural", scores=("unary", "pairs"), teacher_decoder="crf"),
    Objective("scores", scores=("emissions", "transitions"), teacher_decoder="crf"),
)
OBJECTIVES: dict[str, Objective] = {row.name: row for row in _ROWS}

if TYPE_CHECKING:
    ObjectiveName = str  # a type checker cannot read the table
else:
    ObjectiveName = Literal[*OBJECTIVES]
