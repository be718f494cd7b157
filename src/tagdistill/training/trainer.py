"""One training loop for teachers and students: transformers.Trainer with our batches, loss and selection."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from tagdistill.distill.dataset import Batch, teacher_of
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.models.inference import on_device
from tagdistill.models.model import Model
from tagdistill.training.checkpoints import BEST, Checkpoints, best_of, keep_if_best, last_checkpoint, seconds_of
from tagdistill.training.loss import mixed_loss

if TYPE_CHECKING:
    from tagdistill.distill.losses import Loss
    from tagdistill.settings.training import Training
    from tagdistill.training.processes import Processes
    from tagdistill.training.updates import Updates

log = logging.getLogger(__name__)

Score = Callable[[Model], dict[str, float]]  # dev scores; "macro" and "pooled" among them
SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup", "plateau": "reduce_lr_on_plateau"}
SAY_EVERY = 15.0


class Learner(nn.Module):
    """A model and its loss: what one update differentiates."""

    def __init__(self, model: Model, loss: Loss | None, temperature: float) -> None:
        super().__init__()
        self.model, self.loss, self.temperature = model, loss, temperature

    def forward(self, **batch: Any) -> dict[str, Tensor]:
        batch["lengths"] = batch["lengths"].cpu()  # where several GPUs train, the wrapper has sent them off
        chain = self.model(batch)
        teacher = teacher_of(batch) if self.loss is not None else None
        return mixed_loss(chain, batch.get("labels"), teacher, self.loss, batch["teacher_weight"], self.temperature)


class TaggerTrainer(Trainer):
    """Trainer whose data set is the plan of updates: one item, one batch, in order."""

    def __init__(
        self, learner: Learner, updates: Updates, settings: Training, score: Score | None, **rest: Any
    ) -> None:
        self.processes = updates.processes
        self.settings, self.score_dev, self.updates, self.learner = settings, score, updates, learner
        self.parts: dict[str, Any] = {"since": time.monotonic()}
        self.teacher_weight = 0.0  # of the last update with labels: without them it is always 1
        optimizer = make_optimizer(learner.model, settings)
        super().__init__(
            model=learner,
            train_dataset=updates,
            eval_dataset=updates if score is not None else None,  # asked for, never read: `evaluate` is ours
            optimizers=(optimizer, None),
            **rest,
        )
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader:
        # Not the Trainer's own, which moves whole batches, `lengths` included, to the device.
        return DataLoader(self.updates, sampler=SequentialSampler(self.updates), collate_fn=lambda items: items[0])

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        return on_device(inputs, self.args.device)

    def compute_loss(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        try:
            parts = model(**inputs)
        except ValueError as error:
            if "finite" not in str(error):  # what a chain says of scores that are not
                raise
            raise self._diverged() from error
        weight, share = inputs["teacher_weight"], inputs["share"]
        for name, seen in (("gold", weight < 1), ("teacher", weight > 0)):
            self.parts[name] = self.parts.get(name, 0) + share * parts[name].detach()
            self.parts[f"{name}_updates"] = self.parts.get(f"{name}_updates", 0) + seen
        self.parts["words"] = self.parts.get("words", 0) + int(inputs["lengths"].sum()) * (share > 0)
        if "labels" in inputs:
            self.teacher_weight = weight
        # Gradients are averaged over the processes; the batch's own is their sum, each weighed by its share.
        return parts["loss"] * (share * self.processes.number)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise self._diverged()
            logs = {**logs, **self._parts_since()}
        super().log(logs, None)

    def _diverged(self) -> TagdistillError:
        return TagdistillError(
            f"the loss is not finite at update {self.state.global_step + 1}",
            where="training",
            hint="Lower `learning_rate`, `learning_rate_transitions` or `clip`.",
        )

    def _parts_since(self) -> dict[str, float]:
        now = time.monotonic()
        parts, self.parts = self.parts, {"since": now}
        seconds = now - parts.get("since", now)
        summed = self.processes.total([float(parts[name]) for name in ("gold", "teacher", "words")], self.args.device)
        parts |= dict(zip(("gold", "teacher", "words"), summed, strict=True))
        # Each part's mean is over the updates that had it: with text without labels only some have gold.
        line = {name: float(parts[name]) / max(1, parts[f"{name}_updates"]) for name in ("gold", "teacher")}
        line["teacher_weight"] = float(self.teacher_weight)
        if seconds > 0:
            line["words_per_second"] = round(float(parts["words"]) / seconds, 1)
        return line

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score dev, keep the weights if they are the best so far, and log the scores."""
        assert self.score_dev is not None
        began = time.monotonic()
        scores = self.processes.told(self.score_dev(self.learner.model) if self.processes.first else None)
        self.learner.train()
        key = "pooled" if self.settings.select == "pooled" else "macro"
        if self.settings.select != "last" and self.processes.first:
            keep_if_best(self.learner.model, Path(str(self.args.output_dir)), scores[key], self.state.global_step)
        self.log({f"dev_{name}": value for name, value in scores.items()})
        if "since" in self.parts:
            self.parts["since"] += time.monotonic() - began  # scoring is not training
        # Tells the Trainer that it is done: it would score the last update twice.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return {"eval_score": scores[key]}


def make_optimizer(model: Model, settings: Training) -> torch.optim.Optimizer:
    """Adam(W) or SGD with a learning rate of their own for the encoder and for the transitions."""
    rates = {
        "head": settings.learning_rate,  # the first: the one that the log shows
        "encoder": settings.learning_rate_encoder,
        "transitions": settings.learning_rate_transitions,
    }
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            chain = name in ("tagger.transitions", "tagger.start", "tagger.end")
            groups["transitions" if chain else "encoder" if name.startswith("encoder.") else "head"].append(parameter)
    parameters = [
        {"params": group, "lr": rates[name], "weight_decay": 0.0 if name == "transitions" else settings.weight_decay}
        for name, group in groups.items()
        if group
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters)
    return torch.optim.AdamW(parameters)


class OwnNoise(TrainerCallback):
    """Let each of several processes draw its own dropout; after a resume the Trainer restores what each had drawn."""

    def __init__(self, seed: int, processes: Processes) -> None:
        self.seed, self.processes = seed, processes

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.processes.number > 1:
            torch.manual_seed(self.seed + self.processes.rank)


class Say(TrainerCallback):
    """One plain line every so often where stderr is no terminal."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.monotonic()
        if now - self.said < SAY_EVERY and state.global_step < state.max_steps:
            return
        self.said = now
        log.info("update %d of %d, %.0f s", state.global_step, state.max_steps, now - self.began)


def train(
    model: Model,
    updates: Updates,
    settings: Training,
    *,
    checkpoints: Path,
    seed: int,
    loss: Loss | None = None,
    temperature: float = 1.0,
    score: Score | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train a model in place, resuming from the newest whole checkpoint in `checkpoints`.

    Returns {"history": log lines, "best": {"score", "update"} or None, "seconds": of all runs together}.
    """
    arguments = training_arguments(settings, len(updates), checkpoints, seed, device, scored=score is not None)
    resumed = last_checkpoint(checkpoints)
    saving = Checkpoints(seconds_of(resumed) if resumed else 0.0, updates.processes)
    trainer = TaggerTrainer(
        Learner(model, loss, temperature), updates, settings, score, args=arguments, callbacks=[saving]
    )
    trainer.add_callback(OwnNoise(seed, updates.processes))
    trainer.remove_callback(PrinterCallback)
    if arguments.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(Say())
    if resumed:
        log.info("resuming from %s", resumed.name)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    best = None
    if updates.processes.first and (checkpoints / BEST).exists():  # it alone saves the model, and removes this folder
        model.load_own_state(load_file(checkpoints / BEST))
        best = best_of(checkpoints)
    return {"history": history(trainer.state.log_history), "best": best, "seconds": saving.seconds}


def training_arguments(
    settings: Training, updates: int, checkpoints: Path, seed: int, device: str, *, scored: bool
) -> TrainingArguments:
    """Return our settings in the Trainer's words; `scored` says whether there is a dev set."""
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
        # Of the several processes' wrapper: not every update reaches every weight (a softmax head's transitions).
        ddp_find_unused_parameters=True,
        ddp_broadcast_buffers=False,
        bf16=device == "cuda" and settings.mode == "finetune",
        seed=seed,
    )
    # A process uses one GPU, however many it sees: of several the Trainer would make threads that split batches.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def history(lines: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return the Trainer's log as ours: training lines with the loss's parts, and dev lines."""
    told: list[dict[str, Any]] = []
    for line in lines:
        update = line["step"]
        if "loss" in line:
            keys = ("loss", "gold", "teacher", "teacher_weight", "learning_rate", "words_per_second")
            told.append({"update": update, **{key: line[key] for key in keys if key in line}})
        dev = {key.removeprefix("dev_"): value for key, value in line.items() if key.startswith("dev_")}
        if dev:
            told.append({"update": update, "dev": dev})
    return told
