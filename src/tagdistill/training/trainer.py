"""The training loop of teachers and students: transformers.Trainer with our batches, loss and model selection."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from tagdistill.artifacts.write_errors import write_errors
from tagdistill.crf import NonFiniteScores
from tagdistill.distill.teacher_values import TeacherValues
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
from tagdistill.training.loss import mixed_loss

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState

    from tagdistill.distill.losses import Loss
    from tagdistill.settings.base import LossPer
    from tagdistill.settings.training import Training
    from tagdistill.training.loss import LossParts
    from tagdistill.training.processes import Processes
    from tagdistill.training.updates import UpdateBatch, Updates

log = logging.getLogger(__name__)

Score = Callable[[Model], dict[str, float]]  # dev scores; "macro" and "pooled" among them
SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup", "plateau": "reduce_lr_on_plateau"}
PROGRESS_SECONDS = 15.0  # between two lines of progress


class Learner(nn.Module):
    """A model and its loss: what one update differentiates."""

    def __init__(self, model: Model, loss: Loss | None, temperature: float, loss_per: LossPer) -> None:
        super().__init__()
        self.model, self.loss, self.temperature, self.loss_per = model, loss, temperature, loss_per

    def forward(self, **batch: Unpack[UpdateBatch]) -> LossParts:
        """Return the loss of a batch."""
        batch["lengths"] = batch["lengths"].cpu()  # with several GPUs the wrapper has moved them to one
        chain = self.model(batch)
        teacher = TeacherValues(**batch["teacher"]) if self.loss is not None else None
        weight, how = batch["teacher_weight"], (self.temperature, self.loss_per)
        return mixed_loss(chain, batch.get("labels"), teacher, self.loss, weight, *how)


@dataclass
class _Parts:
    """Sums over the updates since the last line of the log, for this process."""

    began: float
    gold: Tensor | float = 0
    teacher: Tensor | float = 0
    gold_updates: int = 0
    teacher_updates: int = 0
    words: int = 0
    updates: int = 0
    clipped: Tensor | float = 0

    def add(self, parts: LossParts, weight: float, share: float, words: int) -> None:
        self.gold = self.gold + share * parts["gold"].detach()
        self.teacher = self.teacher + share * parts["teacher"].detach()
        self.gold_updates += weight < 1
        self.teacher_updates += weight > 0
        self.words += words * (share > 0)

    def count(self, norm: Tensor, limit: float) -> None:
        """Count an update, and whether its gradient, of this norm, was clipped."""
        self.updates += 1
        self.clipped = self.clipped + (norm.detach() > limit)  # stays on the device: reading it would wait for the GPU


class TaggerTrainer(Trainer):
    """Trainer whose data set is the plan of updates: each item is the batch of one update, in order."""

    def __init__(
        self, learner: Learner, updates: Updates, settings: Training, score: Score | None, **rest: Any
    ) -> None:
        self.processes = updates.processes
        self.settings, self.score_dev, self.updates, self.learner = settings, score, updates, learner
        self.parts = _Parts(began=time.monotonic())
        self.teacher_weight = 0.0  # of the last labelled update: on text without labels it is always 1
        optimizer = make_optimizer(learner.model, settings)
        super().__init__(
            model=learner,
            train_dataset=updates,
            eval_dataset=updates if score is not None else None,  # required, never read: `evaluate` is ours
            optimizers=(optimizer, None),
            **rest,
        )
        self.model_accepts_loss_kwargs = False
        clip = self.accelerator.clip_grad_norm_

        def clip_and_count(parameters: Any, max_norm: float, *rest: Any) -> Any:
            norm = clip(parameters, max_norm, *rest)
            self.parts.count(norm, max_norm)
            return norm

        self.accelerator.clip_grad_norm_ = clip_and_count  # the one place where the norm is known

    def get_train_dataloader(self) -> DataLoader[UpdateBatch]:
        """Return the batches in the plan's order."""
        # Not the Trainer's own, which moves whole batches, `lengths` included, to the device.
        return DataLoader(self.updates, sampler=SequentialSampler(self.updates), collate_fn=lambda items: items[0])

    def _save_checkpoint(self, *arguments: Any) -> None:
        with write_errors(Path(str(self.args.output_dir))):
            super()._save_checkpoint(*arguments)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(on_device(cast("UpdateBatch", inputs), self.args.device))

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *_: Any, **__: Any) -> Tensor:
        """Return the loss of this process's share of a batch, and add its parts up for the log."""
        batch = cast("UpdateBatch", inputs)
        try:
            parts: LossParts = model(**batch)
        except NonFiniteScores as error:
            raise self._diverged() from error
        weight, share = batch["teacher_weight"], batch["share"]
        self.parts.add(parts, weight, share, int(batch["lengths"].sum()))
        if "labels" in batch:
            self.teacher_weight = weight
        # Gradients are averaged over the processes, but the batch's own is their sum, each weighted by its share.
        return parts["loss"] * (share * self.processes.number)

    def log(self, logs: dict[str, float], *_: Any, **__: Any) -> None:
        """Log a line; one with a loss also gets the parts of the loss since the last such line."""
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise self._diverged()
            logs = {**logs, **self._parts_since()}
        super().log(logs)

    def _diverged(self) -> TagdistillError:
        return TagdistillError(
            f"the loss is not finite at update {self.state.global_step + 1}",
            where="training",
            hint="Lower `learning_rate`, `learning_rate_transitions` or `clip`.",
        )

    def _parts_since(self) -> dict[str, float]:
        parts, self.parts = self.parts, _Parts(began=time.monotonic())
        seconds = self.parts.began - parts.began
        own = [float(parts.gold), float(parts.teacher), float(parts.words)]
        gold, teacher, words = self.processes.total(own, self.args.device)
        # Each part's mean is over the updates that had it: of those on text without labels none has gold.
        line = {"gold": gold / max(1, parts.gold_updates), "teacher": teacher / max(1, parts.teacher_updates)}
        line["teacher_weight"] = float(self.teacher_weight)
        line["clipped"] = float(parts.clipped) / max(1, parts.updates)
        if seconds > 0:
            line["words_per_second"] = round(words / seconds, 1)
        return line

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score dev, keep the weights if they are the best so far, and log the scores."""
        assert self.score_dev is not None
        began = time.monotonic()
        scores = self.processes.from_first(self.score_dev(self.learner.model) if self.processes.first else {})
        self.learner.train()
        key = "pooled" if self.settings.select == "pooled" else "macro"
        if self.settings.select != "last" and self.processes.first:
            keep_if_best(self.learner.model, Path(str(self.args.output_dir)), scores[key], self.state.global_step)
        self.log({f"dev_{name}": value for name, value in scores.items()})
        self.parts.began += time.monotonic() - began  # scoring is not training
        # Without this the Trainer would score the last update twice.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return {"eval_score": scores[key]}


def make_optimizer(model: Model, settings: Training) -> torch.optim.Optimizer:
    """Return AdamW or SGD with separate learning rates for the head, the encoder and the transitions."""
    rates = {
        "head": settings.learning_rate,  # the first: the log shows it
        "encoder": settings.learning_rate_encoder,
        "transitions": settings.learning_rate_transitions,
    }
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[_group_of(name)].append(parameter)
    parameters = [
        {"params": group, "lr": rates[name], "weight_decay": 0.0 if name == "transitions" else settings.weight_decay}
        for name, group in groups.items()
        if group
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters)
    return torch.optim.AdamW(parameters)


def _group_of(parameter: str) -> str:
    if parameter in ("tagger.transitions", "tagger.start", "tagger.end"):
        return "transitions"
    return "encoder" if parameter.startswith("encoder.") else "head"


class SeedOfProcess(TrainerCallback):
    """Seeds each of several processes differently; after a resume the Trainer restores the state of each."""

    def __init__(self, seed: int, processes: Processes) -> None:
        self.seed, self.processes = seed, processes

    def on_train_begin(  # type: ignore[override]  # the Trainer passes these by position
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Seed this process's dropout."""
        if self.processes.number > 1:
            torch.manual_seed(self.seed + self.processes.rank)


class ProgressLog(TrainerCallback):
    """Logs a plain line of progress every few seconds, for a stderr that is not a terminal."""

    def __init__(self) -> None:
        self.began = self.logged = time.monotonic()

    def on_step_end(  # type: ignore[override]  # the Trainer passes these by position
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Log the number of the update if the last line is old enough, and at the end."""
        now = time.monotonic()
        if now - self.logged < PROGRESS_SECONDS and state.global_step < state.max_steps:
            return
        self.logged = now
        log.info("update %d of %d, %.0f s", state.global_step, state.max_steps, now - self.began)


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
    fingerprint: str = "",
    loss: Loss | None = None,
    temperature: float = 1.0,
    score: Score | None = None,
    device: str = "cpu",
) -> TrainingOutcome:
    """Train a model in place, resuming from the newest whole checkpoint of the run's `fingerprint` in `checkpoints`.

    `loss` and `temperature` are the objective's, `score` returns the dev scores of a model. Raises TagdistillError if
    the loss becomes infinite or NaN, ConfigError for a schedule that needs a dev set if there is none.
    """
    arguments = training_arguments(settings, len(updates), checkpoints, seed, device, scored=score is not None)
    processes = updates.processes
    resumed = processes.from_first(last_checkpoint(checkpoints, fingerprint) if processes.first else None)
    saving = Checkpoints(seconds_of(resumed) if resumed else 0.0, processes, fingerprint)
    trainer = TaggerTrainer(
        Learner(model, loss, temperature, settings.loss_per),
        updates,
        settings,
        score,
        args=arguments,
        callbacks=[saving],
    )
    trainer.add_callback(SeedOfProcess(seed, processes))
    trainer.remove_callback(PrinterCallback)
    if arguments.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(ProgressLog())
    if resumed:
        log.info("resuming from %s", resumed.name)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    best = None
    if processes.first and (checkpoints / BEST).exists():  # it saves the model, and removes this folder
        best = load_best(model, checkpoints)
    return TrainingOutcome(history(trainer.state.log_history), best, saving.seconds)


def training_arguments(
    settings: Training, updates: int, checkpoints: Path, seed: int, device: str, *, scored: bool
) -> TrainingArguments:
    """Return our settings as the Trainer's arguments; `scored`: whether there is a dev set."""
    if settings.schedule == "plateau" and not scored:
        raise ConfigError(
            "'plateau' follows the dev score, and there is no dev set",
            where="schedule",
            hint="Give a `dev` split, or choose linear or constant.",
        )
    plateau = {"factor": 0.5, "patience": 10, "mode": "max"}
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=updates,
        per_device_train_batch_size=1,
        max_grad_norm=settings.clip,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        lr_scheduler_kwargs=plateau if settings.schedule == "plateau" else None,
        warmup_steps=round(settings.warmup * updates),
        eval_strategy="steps" if scored else "no",
        eval_steps=math.ceil(updates / settings.evaluations),
        metric_for_best_model="score",
        greater_is_better=True,
        save_strategy="no",
        save_total_limit=2,
        logging_steps=max(1, updates // 50),
        logging_nan_inf_filter=False,
        report_to=[],
        remove_unused_columns=False,
        disable_tqdm=not sys.stderr.isatty(),
        use_cpu=device == "cpu",
        # For several processes: not every update reaches every weight (a softmax head's transitions).
        ddp_find_unused_parameters=True,
        ddp_broadcast_buffers=False,
        bf16=device == "cuda" and settings.mode == "finetune",
        seed=seed,
    )
    # A process uses one GPU, however many are visible: with several the Trainer would split batches among threads.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def history(lines: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return the Trainer's log as that of metrics.jsonl: training lines with the parts of the loss, and dev lines."""
    ours: list[dict[str, Any]] = []
    for line in lines:
        update = line["step"]
        if "loss" in line:
            keys = ("loss", "gold", "teacher", "teacher_weight", "clipped", "learning_rate", "words_per_second")
            ours.append({"update": update, **{key: line[key] for key in keys if key in line}})
        dev = {key.removeprefix("dev_"): value for key, value in line.items() if key.startswith("dev_")}
        if dev:
            ours.append({"update": update, "dev": dev})
    return ours
