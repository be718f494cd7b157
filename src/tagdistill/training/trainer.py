"""One training loop for teachers and students: transformers.Trainer with our batches, loss and selection."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from tagdistill.distill.examples import Batch, teacher_of
from tagdistill.distill.objectives import Objective, mixed_loss
from tagdistill.files import atomic_path, write_json
from tagdistill.models.model import Model
from tagdistill.settings import Training
from tagdistill.training.updates import Updates

log = logging.getLogger(__name__)

Score = Callable[[Model], dict[str, float]]  # dev scores; "macro" and "pooled" among them
BEST = "best.safetensors"
COMPLETE = "complete.json"
SAVE_EVERY = 120.0  # seconds of work that a kill may cost
SAY_EVERY = 15.0


class Learner(nn.Module):
    """A model and its loss: what one update differentiates."""

    def __init__(self, model: Model, objective: Objective | None, temperature: float) -> None:
        super().__init__()
        self.model, self.objective, self.temperature = model, objective, temperature

    def forward(self, **batch: Any) -> dict[str, Tensor]:
        chain = self.model(batch)
        teacher = teacher_of(batch) if self.objective is not None else None
        return mixed_loss(
            chain, batch.get("labels"), teacher, self.objective, batch["teacher_weight"], self.temperature
        )


class TaggerTrainer(Trainer):
    """Trainer whose data set is the plan of updates: one item, one batch, in order."""

    def __init__(
        self, learner: Learner, updates: Updates, settings: Training, score: Score | None, **rest: Any
    ) -> None:
        self.settings, self.score_dev, self.updates, self.learner = settings, score, updates, learner
        self.parts: dict[str, Any] = {"since": time.monotonic()}
        optimizer = make_optimizer(learner.model, settings)
        super().__init__(
            model=learner,
            train_dataset=updates,
            eval_dataset=updates if score is not None else None,  # asked for, never read: `evaluate` is ours
            data_collator=lambda items: items[0],
            optimizers=(optimizer, None),
            **rest,
        )
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.updates)  # the plan is the order

    def compute_loss(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        parts = model(**inputs)
        for name in ("gold", "teacher"):
            self.parts[name] = self.parts.get(name, 0) + parts[name].detach()
        self.parts["updates"] = self.parts.get("updates", 0) + 1
        self.parts["words"] = self.parts.get("words", 0) + inputs["lengths"].sum()
        self.parts["teacher_weight"] = inputs["teacher_weight"]
        return parts["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs = {**logs, **self._parts_since()}
        super().log(logs, None)

    def _parts_since(self) -> dict[str, float]:
        now = time.monotonic()
        parts, self.parts = self.parts, {"since": now}
        seconds = now - parts.get("since", now)
        line = {name: float(parts[name]) / parts["updates"] for name in ("gold", "teacher")}
        line["teacher_weight"] = float(parts["teacher_weight"])
        if seconds > 0:
            line["words_per_second"] = round(float(parts["words"]) / seconds, 1)
        return line

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score dev, keep the weights if they are the best so far, and log the scores."""
        assert self.score_dev is not None
        began = time.monotonic()
        scores = self.score_dev(self.learner.model)
        self.learner.train()
        key = "pooled" if self.settings.select == "pooled" else "macro"
        if self.settings.select != "last":
            keep_if_best(self.learner.model, Path(str(self.args.output_dir)), scores[key], self.state.global_step)
        self.log({f"dev_{name}": value for name, value in scores.items()})
        if "since" in self.parts:
            self.parts["since"] += time.monotonic() - began  # scoring is not training
        return {"eval_score": scores[key]}


def make_optimizer(model: Model, settings: Training) -> torch.optim.Optimizer:
    """Adam(W) or SGD with a learning rate of their own for the encoder and for the transitions."""
    rates = {
        "encoder": settings.learning_rate_encoder,
        "transitions": settings.learning_rate_transitions,
        "head": settings.learning_rate,
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


def keep_if_best(model: Model, folder: Path, score: float, update: int) -> None:
    """Keep the weights beside the checkpoints if their dev score is above all before.

    After a resume the kept weights may be of a later update than the checkpoint: the same updates then bring the same
    scores, which are not above their own, and the result is that of an uninterrupted run.
    """
    file = folder / BEST
    if file.exists() and score <= best_of(folder)["score"]:
        return
    with atomic_path(file) as temporary:
        save_file(model.own_state(), temporary, metadata={"best": json.dumps({"score": score, "update": update})})


def best_of(folder: Path) -> dict[str, Any]:
    """Return score and update of the kept weights."""
    from safetensors import safe_open

    with safe_open(folder / BEST, framework="pt") as file:
        return json.loads(file.metadata()["best"])


class Checkpoints(TrainerCallback):
    """Save every two minutes of work, and mark a checkpoint as whole only after all of it is written."""

    def __init__(self) -> None:
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if time.monotonic() - self.saved >= SAVE_EVERY and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()
        write_json(Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE, {"update": state.global_step})


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


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that is whole, or None."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def train(
    model: Model,
    updates: Updates,
    settings: Training,
    *,
    checkpoints: Path,
    seed: int,
    objective: Objective | None = None,
    temperature: float = 1.0,
    score: Score | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train a model in place, resuming from the newest whole checkpoint in `checkpoints`.

    Returns {"history": log lines, "best": {"score", "update"} or None, "seconds": of this run}.
    """
    terminal = sys.stderr.isatty()
    plateau = {"factor": 0.5, "patience": 10, "mode": "max"}
    every = max(1, len(updates) // settings.evaluations)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=len(updates),
        per_device_train_batch_size=1,
        max_grad_norm=settings.clip,
        lr_scheduler_type={"plateau": "reduce_lr_on_plateau"}.get(settings.schedule, settings.schedule),
        lr_scheduler_kwargs=plateau if settings.schedule == "plateau" else None,
        warmup_steps=round(settings.warmup * len(updates)),
        eval_strategy="steps" if score is not None else "no",
        eval_steps=every,
        metric_for_best_model="score",
        greater_is_better=True,
        save_strategy="no",
        save_total_limit=2,
        logging_steps=max(1, len(updates) // 50),
        logging_nan_inf_filter=False,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=not terminal,
        use_cpu=device == "cpu",
        bf16=device == "cuda" and settings.mode == "finetune",
        seed=seed,
    )
    trainer = TaggerTrainer(
        Learner(model, objective, temperature), updates, settings, score, args=arguments, callbacks=[Checkpoints()]
    )
    trainer.remove_callback(PrinterCallback)
    if not terminal:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(Say())
    began = time.monotonic()
    resumed = last_checkpoint(checkpoints)
    if resumed:
        log.info("resuming from %s", Path(resumed).name)
    trainer.train(resume_from_checkpoint=resumed)
    best = None
    if (checkpoints / BEST).exists():
        model.load_own_state(load_file(checkpoints / BEST))
        best = best_of(checkpoints)
    return {"history": history(trainer.state.log_history), "best": best, "seconds": time.monotonic() - began}


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
