"""The two training stages: a teacher of one language, and a student of all."""

from __future__ import annotations

import logging
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import torch

from tagdistill.settings.objectives import OBJECTIVES, Objective
from tagdistill.training.assemble import assemble
from tagdistill.training.checkpoints import last_checkpoint
from tagdistill.training.outputs import write_outputs
from tagdistill.training.processes import Processes
from tagdistill.training.resume import fingerprint_of, forget_other_runs, is_finished, locked
from tagdistill.training.trainer import train

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.distill.dataset import CorpusFiles
    from tagdistill.settings.base import Decoder
    from tagdistill.settings.distill import Distill
    from tagdistill.settings.encoder import EncoderSettings
    from tagdistill.settings.training import StudentSettings, TeacherSettings, Training

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outputs:
    """Where a run writes; checkpoints are removed at its end."""

    model: Path  # folder
    log: Path  # metrics.jsonl
    summary: Path  # training.json
    checkpoints: Path  # folder


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
    unlabelled: Sequence[CorpusFiles] = ()  # a student's
    objective: str | None = None  # a student's
    distill: Distill | None = None  # a student's

    @classmethod
    def for_teacher(
        cls,
        settings: TeacherSettings,
        train: CorpusFiles,
        dev: CorpusFiles | None,
        *,
        task: str,
        labels: tuple[str, ...],
        decoder: Decoder,
        encoder: EncoderSettings,
        seed: int,
        outputs: Outputs,
        encoder_folder: Path | None = None,
        machine: Machine,
    ) -> Self:
        """Return the run that trains the teacher of one language."""
        dev_sets = [dev] if dev else []
        return cls(task, labels, decoder, settings, encoder, seed, [train], dev_sets, outputs, encoder_folder, machine)

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
    ) -> Self:
        """Return the run that trains a student of all languages with one objective."""
        return cls(
            task, labels, decoder, settings, encoder, seed, train, dev, outputs, encoder_folder, machine,
            unlabelled, objective, distill,
        )  # fmt: skip

    @property
    def distillation(self) -> tuple[Objective, Distill] | None:
        """The objective and the settings of a student that has teachers; None of all other models."""
        row = OBJECTIVES[self.objective] if self.objective else None
        return (row, self.distill) if row and row.needs and self.distill else None


def run_training(run: Run) -> None:
    """Train and write model, log and summary; an interrupted run resumes from its last checkpoint.

    A lock keeps a process that outlived its workflow from training the same model at the same time; what it wrote while
    this one waited is kept. Of several processes that train together the first one holds the lock, and writes.
    """
    processes, checkpoints = run.machine.processes, run.outputs.checkpoints
    checkpoints.parent.mkdir(parents=True, exist_ok=True)
    fingerprint = fingerprint_of(run)
    lock = checkpoints.with_name("training.lock")
    with locked(lock) if processes.first else nullcontext(False) as waited:
        finished = waited and is_finished(run.outputs, fingerprint)
        if processes.first and not finished:
            checkpoints.mkdir(exist_ok=True)
            forget_other_runs(checkpoints, fingerprint)
            last_checkpoint(checkpoints)  # removes incomplete ones, before the others look
        processes.join(run.machine.device)
        if processes.from_first(finished):
            log.info("the other process has trained this very model: nothing is left to do")
        else:
            _train_and_write(run, fingerprint)
        processes.leave()  # not after an error: it might wait for the others, who wait for this one


def _train_and_write(run: Run, fingerprint: str) -> None:
    torch.set_num_threads(run.machine.threads)
    torch.manual_seed(run.seed)
    parts = assemble(run)
    outcome = train(
        parts.model,
        parts.updates,
        run.settings,
        checkpoints=run.outputs.checkpoints,
        seed=run.seed,
        loss=parts.loss,
        temperature=parts.temperature,
        score=parts.dev_score,
        device=run.machine.device,
    )
    if run.machine.processes.first:
        write_outputs(run, parts, outcome, fingerprint)
        shutil.rmtree(run.outputs.checkpoints)
