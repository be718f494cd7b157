"""One training run: a teacher of one language or several, or a student of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tagdistill.training.processes import Processes

FOLDS = "tagdistill.distill.folds"

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tagdistill.distill.dataset import CorpusFiles
    from tagdistill.settings.base import Decode, Decoder
    from tagdistill.settings.distill import Distill, ResolvedObjective
    from tagdistill.settings.encoder import EncoderSettings
    from tagdistill.settings.training import StudentSettings, TeacherSettings, Training


@dataclass(frozen=True)
class Outputs:
    """Where a run writes; checkpoints are removed at its end."""

    model: Path  # folder
    log: Path  # metrics.jsonl
    summary: Path  # training.json
    checkpoints: Path  # folder

    @property
    def room(self) -> Path:
        """The folder for temporary files."""
        return self.checkpoints.parent


@dataclass(frozen=True)
class Machine:
    """What a run computes on."""

    device: str = "cpu"  # or "cuda"
    threads: int = 1
    processes: Processes = field(default_factory=Processes)


@dataclass(frozen=True)
class Run:
    """One training run: what is trained, on what, and where its outputs go."""

    task: str
    labels: tuple[str, ...]
    decoder: Decoder
    settings: Training
    encoder: EncoderSettings
    seed: int
    train: Sequence[CorpusFiles]
    dev: Sequence[CorpusFiles]
    outputs: Outputs
    encoder_folder: Path | None = None  # of the converted encoder, for fine-tuning
    machine: Machine = field(default_factory=Machine)
    decode: Decode = "unconstrained"  # of dev
    unlabelled: Sequence[CorpusFiles] = ()  # a student's
    objective: str | None = None  # a student's
    distill: Distill | None = None  # a student's
    updates_per_batch: float = 1.0  # in an epoch, for each labelled batch
    gate: Mapping[str, float] | None = None  # the weight of each language's teacher; None: all weigh 1
    fold: tuple[int, int] | None = None  # number and count: the part of the labelled text that is left out

    @classmethod
    def for_teacher(
        cls,
        settings: TeacherSettings,
        train: Sequence[CorpusFiles],
        dev: Sequence[CorpusFiles],
        *,
        task: str,
        labels: tuple[str, ...],
        decoder: Decoder,
        encoder: EncoderSettings,
        seed: int,
        outputs: Outputs,
        encoder_folder: Path | None = None,
        machine: Machine,
        decode: Decode = "unconstrained",
        fold: tuple[int, int] | None = None,
    ) -> Self:
        """Return the run that trains the teacher of one language, or of several."""
        return cls(
            task, labels, decoder, settings, encoder, seed, train, dev, outputs, encoder_folder, machine, decode,
            fold=fold,
        )  # fmt: skip

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that only such a training loads, by name."""
        return (*self.settings.modules, *((FOLDS,) if self.fold else ()))

    @classmethod
    def for_student(
        cls,
        settings: StudentSettings,
        train: Sequence[CorpusFiles],
        dev: Sequence[CorpusFiles],
        unlabelled: Sequence[CorpusFiles],
        *,
        objective: str,
        distill: Distill,
        task: str,
        labels: tuple[str, ...],
        decoder: Decoder,
        encoder: EncoderSettings,
        seed: int,
        outputs: Outputs,
        encoder_folder: Path | None = None,
        machine: Machine,
        decode: Decode = "unconstrained",
        updates_per_batch: float = 1.0,
        gate: Mapping[str, float] | None = None,
    ) -> Self:
        """Return the run that trains a student of all languages with one objective."""
        return cls(
            task, labels, decoder, settings, encoder, seed, train, dev, outputs, encoder_folder, machine, decode,
            unlabelled, objective, distill, updates_per_batch, gate,
        )  # fmt: skip

    @property
    def stored(self) -> EncoderSettings | None:
        """What is stored of the encoder for each corpus, if anything is."""
        return self.settings.stored(self.encoder)

    @property
    def distillation(self) -> ResolvedObjective | None:
        """The objective of a student that has teachers; None of all other models."""
        resolved = self.distill.resolve(self.objective) if self.distill and self.objective else None
        return resolved if resolved and resolved.row.needs else None
