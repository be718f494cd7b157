"""The training loop of teachers and students: updates in the order of their plan, dev scores, checkpoints, a log."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from tagdistill.crf import NonFiniteScores
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.models.inference import on_device
from tagdistill.models.model import Model
from tagdistill.training.checkpoints import (
    BEST,
    Best,
    Checkpoints,
    keep_if_best,
    last_checkpoint,
    load_best,
    seconds_of,
)
from tagdistill.training.learner import Learner
from tagdistill.training.optimizer import Schedule, make_optimizer
from tagdistill.training.state import load_process, load_state, save_process, save_state
from tagdistill.training.sums import Sums

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.distill.losses import Loss
    from tagdistill.settings.training import Training
    from tagdistill.training.updates import UpdateBatch, Updates

log = logging.getLogger(__name__)

Score = Callable[[Model], dict[str, float]]  # dev scores; "macro" and "pooled" among them
PROGRESS_SECONDS = 15.0  # between two lines of progress
LINES = 50  # of the log of a training, about


class Trainer:
    """One training: a model and its loss, the plan of updates, and what they have come to so far."""

    def __init__(
        self,
        learner: Learner,
        updates: Updates,
        settings: Training,
        checkpoints: Checkpoints,
        score: Score | None = None,
        device: str = "cpu",
    ) -> None:
        """Start at the first update; `score` returns the dev scores of a model."""
        self.learner, self.updates, self.settings, self.checkpoints = learner, updates, settings, checkpoints
        self.score, self.device, self.processes = score, device, updates.processes
        self.schedule = Schedule(make_optimizer(learner.model, settings), settings, len(updates))
        self.wrapped = self.processes.together(learner)
        self.update = 0  # the number of those that are done
        self.teacher_weight = 0.0  # of the last labelled update: on text without labels it is always 1
        self.history: list[dict[str, Any]] = []  # the lines of metrics.jsonl
        self.sums = Sums()

    def run(self, resumed: Path | None = None) -> None:
        """Make the updates that are left after a checkpoint, or all of them."""
        if resumed:
            progress = load_state(resumed, self.learner.model, self.schedule)
            self.update, self.history = progress["update"], progress["history"]
            self.teacher_weight = progress["teacher_weight"]
        left = DataLoader(self.updates, batch_size=None, sampler=range(self.update, len(self.updates)))
        batches = iter(left)  # draws a random number: those of a checkpoint are restored after it
        if resumed:
            self.sums = Sums(**load_process(resumed, self.processes))
        self.learner.train()
        for batch in _with_progress(batches, self.update, len(self.updates)):
            rate = self._make(on_device(batch, self.device))
            if self.update % max(1, len(self.updates) // LINES) == 0:
                self._log(rate)
            if self.score is not None and self._scores_now():
                self._evaluate(self.score)
            if self.checkpoints.due(self.update, len(self.updates)):
                self.checkpoints.save(self.update, self._save)

    def _make(self, batch: UpdateBatch) -> float:
        """Make one update, and return its learning rate."""
        try:
            parts = self.wrapped(**batch)
        except NonFiniteScores as error:
            raise self._diverged(self.update + 1) from error
        weight, share = batch["teacher_weight"], batch["share"]
        # Gradients are averaged over the processes, but the batch's own is their sum, each weighted by its share.
        loss = parts["loss"] * (share * self.processes.number)
        loss.backward()
        self.sums.add(loss, parts, weight, share, int(batch["lengths"].sum()))
        self.sums.count(clip_grad_norm_(self.learner.parameters(), self.settings.clip), self.settings.clip)
        rate = self.schedule.rates[0]
        self.schedule.optimizer.step()
        self.learner.zero_grad()
        self.update += 1
        self.schedule.after(self.update)
        if "labels" in batch:
            self.teacher_weight = weight
        return rate

    def _log(self, rate: float) -> None:
        line = self.sums.line(self.processes, self.device)
        if not math.isfinite(line["loss"]):
            raise self._diverged(self.update)
        more = {"teacher_weight": float(self.teacher_weight), "learning_rate": rate}
        self.history.append({"update": self.update, **line, **more})
        self.sums = Sums()

    def _scores_now(self) -> bool:
        every = math.ceil(len(self.updates) / self.settings.evaluations)
        return self.update % every == 0 or self.update == len(self.updates)

    def _evaluate(self, score: Score) -> None:
        """Score dev, log the scores, and keep the weights if they are the best so far."""
        began = time.monotonic()
        scores = score(self.learner.model)  # the same in all processes
        self.learner.train()
        chosen = scores["pooled" if self.settings.select == "pooled" else "macro"]
        if self.settings.select != "last" and self.processes.first:
            keep_if_best(self.learner.model, self.checkpoints.folder, chosen, self.update)
        self.history.append({"update": self.update, "dev": scores})
        self.schedule.scored(chosen)
        self.sums.began += time.monotonic() - began  # scoring is not training

    def _save(self, folder: Path) -> None:
        if self.processes.first:
            progress = {"update": self.update, "history": self.history, "teacher_weight": self.teacher_weight}
            save_state(folder, self.learner.model, self.schedule, progress)
        save_process(folder, self.processes, self.device, self.sums.record())

    def _diverged(self, update: int) -> TagdistillError:
        return TagdistillError(
            f"the loss is not finite at update {update}",
            where="training",
            hint="Lower `learning_rate`, `learning_rate_transitions` or `clip`.",
        )


def _with_progress(batches: Iterator[UpdateBatch], done: int, updates: int) -> Iterator[UpdateBatch]:
    """Yield the batches; show a bar on a terminal, elsewhere log a line now and then."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(batches, initial=done, total=updates, unit=" updates")
        return
    began = logged = time.monotonic()
    for number, batch in enumerate(batches, done + 1):
        yield batch
        if (now := time.monotonic()) - logged >= PROGRESS_SECONDS or number == updates:
            logged = now
            log.info("update %d of %d, %.0f s", number, updates, now - began)


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training went."""

    history: list[dict[str, Any]]  # the lines of metrics.jsonl
    best: Best | None  # None: the weights are those of the last update
    seconds: float  # of training, over all interrupted runs together


def train(
    model: Model,
    updates: Updates,
    settings: Training,
    *,
    checkpoints: Path,
    seed: int,
    fingerprint: str,
    loss: Loss | None = None,
    temperature: float,
    score: Score | None = None,
    device: str = "cpu",
    copy: Callable[[Path], None] | None = None,
) -> TrainingOutcome:
    """Train a model in place, resuming from the newest whole checkpoint of the run's `fingerprint` in `checkpoints`.

    `loss` and `temperature` are the objective's, `score` returns the dev scores of a model, `copy` is called with each
    complete checkpoint. Raises TagdistillError if the loss becomes infinite or NaN, ConfigError for a schedule that
    needs a dev set if there is none.
    """
    if settings.schedule == "plateau" and score is None:
        raise ConfigError(
            "'plateau' follows the dev score, and there is no dev set",
            where="schedule",
            hint="Give a `dev` split, or choose linear or constant.",
        )
    processes = updates.processes
    resumed = processes.from_first(last_checkpoint(checkpoints, fingerprint) if processes.first else None)
    saving = Checkpoints(checkpoints, processes, fingerprint, seconds_of(resumed) if resumed else 0.0, copy)
    if resumed:
        log.info("resuming from %s", resumed.name)
    torch.manual_seed(seed + processes.rank)  # so that dropout differs between processes
    learner = Learner(model, loss, temperature, settings.loss_per)
    trainer = Trainer(learner, updates, settings, saving, score, device)
    trainer.run(resumed)
    best = None
    if processes.first and (checkpoints / BEST).exists():  # it saves the model, and removes this folder
        best = load_best(model, checkpoints)
    return TrainingOutcome(trainer.history, best, saving.seconds)
