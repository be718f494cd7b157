"""What a killed run goes on from: checkpoints, each whole or left out, and the best weights so far beside them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

from tagdistill.artifacts.files import atomic_path, read_json, write_json

if TYPE_CHECKING:
    from tagdistill.models.model import Model
    from tagdistill.training.processes import Processes

log = logging.getLogger(__name__)

BEST = "best.safetensors"
COMPLETE = "complete.json"
# Seconds of work that a kill may cost.
SAVE_EVERY = float(os.environ.get("TAGDISTILL_CHECKPOINT_SECONDS", "120"))


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
    with safe_open(folder / BEST, framework="pt") as file:
        return json.loads(file.metadata()["best"])


class Checkpoints(TrainerCallback):
    """Save every two minutes of work, and mark a checkpoint as whole only after all of it is on the disk."""

    def __init__(self, spent: float, processes: Processes) -> None:
        self.processes = processes
        self.began = time.monotonic() - spent
        self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a kill included."""
        return time.monotonic() - self.began

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # The first process's clock decides: all save, or none.
        due = self.processes.told(time.monotonic() - self.saved >= SAVE_EVERY)
        if due and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.saved = time.monotonic()
        self.processes.wait()  # each has written the state of its own random numbers
        if not self.processes.first:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        sizes = {}
        for file in sorted(folder.iterdir()):
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
            sizes[file.name] = file.stat().st_size
        write_json(folder / COMPLETE, {"update": state.global_step, "seconds": self.seconds, "files": sizes})


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is whole, or None; remove those that a kill left half written."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        if _is_whole(path):
            whole.append(path)
        else:
            log.info("%s is half written: leaving it out", path.name)
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    if not (checkpoint / COMPLETE).exists():
        return False
    sizes = read_json(checkpoint / COMPLETE)["files"]
    return all((checkpoint / n).is_file() and (checkpoint / n).stat().st_size == size for n, size in sizes.items())


def seconds_of(checkpoint: Path) -> float:
    """Return the seconds of training that led to a checkpoint."""
    return read_json(checkpoint / COMPLETE)["seconds"]
