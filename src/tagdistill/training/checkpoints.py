"""Checkpoints for resuming, of which incomplete ones are ignored, and the best weights so far beside them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

from tagdistill.artifacts.files import atomic_path, read_json, write_json
from tagdistill.artifacts.write_errors import write_errors

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from tagdistill.models.model import Model
    from tagdistill.training.processes import Processes

log = logging.getLogger(__name__)

BEST = "best.safetensors"
COMPLETE = "complete.json"
# Seconds of training between checkpoints: the most that a kill can cost.
SAVE_EVERY = float(os.environ.get("TAGDISTILL_CHECKPOINT_SECONDS", "120"))


@dataclass(frozen=True)
class Best:
    """The best dev score (in per cent) of a run so far, and the update after which it was reached."""

    score: float
    update: int


def keep_if_best(model: Model, folder: Path, score: float, update: int) -> None:
    """Keep the weights beside the checkpoints if their dev score is above all before.

    After a resume the kept weights may be of a later update than the checkpoint: the same updates then give the same
    scores, which are not above their own, and the result is that of an uninterrupted run.
    """
    file = folder / BEST
    if file.exists() and score <= best_of(folder).score:
        return
    with atomic_path(file) as temporary:
        save_file(model.own_state(), temporary, metadata={"best": json.dumps(asdict(Best(score, update)))})


def best_of(folder: Path) -> Best:
    """Return score and update of the kept weights."""
    with safe_open(folder / BEST, framework="pt") as file:
        return Best(**json.loads(file.metadata()["best"]))


class Checkpoints(TrainerCallback):
    """Saves every two minutes of training, and marks a checkpoint as complete only after all of it is on the disk."""

    def __init__(self, spent: float, processes: Processes) -> None:
        """Start the clock of a run that has trained for `spent` seconds before."""
        self.processes = processes
        self.began = time.monotonic() - spent
        self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a kill included."""
        return time.monotonic() - self.began

    def on_step_end(  # type: ignore[override]  # the Trainer passes these by position
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save if the last checkpoint is old enough."""
        # The first process's clock decides: all save, or none.
        due = self.processes.from_first(time.monotonic() - self.saved >= SAVE_EVERY)
        if due and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(  # type: ignore[override]  # the Trainer passes these by position
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Mark a checkpoint as complete."""
        self.saved = time.monotonic()
        self.processes.wait()  # each has written the state of its own random numbers
        if not self.processes.first:
            return
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        sizes = {}
        with write_errors(folder):
            for file in sorted(folder.iterdir()):
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
                sizes[file.name] = file.stat().st_size
        write_json(folder / COMPLETE, {"update": state.global_step, "seconds": self.seconds, "files": sizes})


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, or None; remove incomplete ones, which a kill has left."""
    complete = []
    for path in folder.glob("checkpoint-*"):
        if _is_complete(path):
            complete.append(path)
        else:
            log.info("%s is incomplete: ignoring it", path.name)
            shutil.rmtree(path)
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_complete(checkpoint: Path) -> bool:
    if not (checkpoint / COMPLETE).exists():
        return False
    sizes = read_json(checkpoint / COMPLETE)["files"]
    return all((checkpoint / n).is_file() and (checkpoint / n).stat().st_size == size for n, size in sizes.items())


def seconds_of(checkpoint: Path) -> float:
    """Return the seconds of training that led to a checkpoint."""
    return float(read_json(checkpoint / COMPLETE)["seconds"])
