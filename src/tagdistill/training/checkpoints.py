"""Checkpoints for resuming, of which damaged ones are ignored, and the best weights so far beside them."""

from __future__ import annotations

import json
import logging
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tagdistill.artifacts import environment
from tagdistill.artifacts.files import (
    atomic_path,
    discard,
    flush,
    give_usual_modes,
    link_or_copy,
    read_json,
    sha256_file,
    write_json,
    writer_of,
)
from tagdistill.artifacts.stored_file import stored
from tagdistill.artifacts.write_errors import write_errors
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tagdistill.models.model import Model
    from tagdistill.training.processes import Processes

log = logging.getLogger(__name__)

BEST = "best.safetensors"
KEPT, RESUME = "the best weights so far", "Run again: training resumes from its last whole checkpoint."
COMPLETE = "complete.json"
RECORD = "fingerprint.json"  # says whose the folder is
NAME = re.compile(r"checkpoint-(\d+)\Z")
HALF = re.compile(r"\.tmp\w{6}\Z")  # what safetensors had begun to write when it was killed
KEPT_CHECKPOINTS = 2  # one more than is needed: the disk may damage the newest
SAVE_EVERY = 120.0  # seconds of training between checkpoints: the most that a kill can cost
AGREE_EVERY = 10  # updates of several processes, which wait for each other to agree on a checkpoint


@dataclass(frozen=True)
class Best:
    """The best dev score (in per cent) of a run so far, and the update after which it was reached."""

    score: float
    update: int


def keep_if_best(model: Model, folder: Path, score: float, update: int) -> None:
    """Keep the weights beside the checkpoints if their dev score is above all before.

    A score of 0 tells nothing of the weights: dev may have no span. The latest of those with 0 are kept.
    """
    file = folder / BEST
    if file.exists() and score <= (best := best_of(folder).score) and best > 0:
        return
    with atomic_path(file) as temporary:
        save_file(model.own_state(), temporary, metadata={"best": json.dumps(asdict(Best(score, update)))})


def best_of(folder: Path) -> Best:
    """Return score and update of the kept weights."""
    with stored(folder / BEST, KEPT, hint=RESUME), safe_open(folder / BEST, framework="pt") as file:
        return Best(**json.loads(file.metadata()["best"]))


def load_best(model: Model, folder: Path) -> Best:
    """Load the kept weights into a model."""
    with stored(folder / BEST, KEPT, hint=RESUME):
        model.load_own_state(load_file(folder / BEST))
    return best_of(folder)


class Checkpoints:
    """Saves every two minutes of training, and marks a checkpoint as complete only after all of it is on the disk."""

    def __init__(
        self,
        folder: Path,
        processes: Processes,
        fingerprint: str = "",
        spent: float = 0.0,
        copy: Callable[[Path], None] | None = None,
    ) -> None:
        """Start the clock of the run of a fingerprint that has trained for `spent` seconds before.

        `copy` is called with each checkpoint that is complete.
        """
        self.folder, self.processes, self.fingerprint, self.copy = folder, processes, fingerprint, copy
        self.every = environment.number("TAGDISTILL_CHECKPOINT_SECONDS", SAVE_EVERY)
        self.began = time.monotonic() - spent
        self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a kill included."""
        return time.monotonic() - self.began

    def due(self, update: int, updates: int) -> bool:
        """Return whether to save after an update: if the last checkpoint is old enough, but not at the end."""
        if update == updates or (self.processes.number > 1 and update % AGREE_EVERY):
            return False
        # The first process's clock decides: all save, or none.
        return self.processes.from_first(time.monotonic() - self.saved >= self.every)

    def save(self, update: int, write: Callable[[Path], None]) -> None:
        """Make a checkpoint of what `write` writes into a folder, in each process; the oldest ones are removed."""
        folder = self.folder / f"checkpoint-{update}"
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)  # another process may be first
            write(folder)
        self.saved = time.monotonic()
        self.processes.wait()
        if self.processes.first:
            self._complete(folder, update)
            for path in sorted(_checkpoints(self.folder), key=update_of)[:-KEPT_CHECKPOINTS]:
                discard(path)
            if self.copy:
                self.copy(folder)

    def _complete(self, folder: Path, update: int) -> None:
        with write_errors(folder):
            if (best := folder.with_name(BEST)).exists():  # with it a checkpoint needs nothing beside itself
                link_or_copy(best, folder / BEST)
            give_usual_modes(folder)
            flush(folder)
        files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
        made_by = {"fingerprint": self.fingerprint, "update": update, "seconds": self.seconds}
        write_json(folder / COMPLETE, {**made_by, "files": files})


def last_checkpoint(folder: Path, fingerprint: str = "") -> Path | None:
    """Return the newest checkpoint that is whole and of the run of this fingerprint, with its best weights in place.

    What comes after it is removed: a kill may have left half a checkpoint, and the disk may have damaged one.
    """
    found, there = None, _checkpoints(folder)
    for path in sorted(there, key=update_of, reverse=True):
        if found is None and (problem := _problem(path, fingerprint)):
            log.info("%s is %s: ignoring it", path.name, problem)
            discard(path)
        else:
            found = found or path
    if there and not found:
        log.info("no checkpoint here is whole and of these settings, data and code: starting again")
    # The weights kept since are of updates that will run again, and are found again.
    discard(folder / BEST)
    if found and (found / BEST).exists():
        link_or_copy(found / BEST, folder / BEST)
    return found


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if NAME.match(path.name)] if folder.is_dir() else []


def update_of(checkpoint: Path) -> int:
    """Return the update after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _problem(checkpoint: Path, fingerprint: str) -> str | None:
    """Return why a checkpoint cannot be used, or None where it can."""
    if not (checkpoint / COMPLETE).exists():
        return "incomplete"
    try:
        record = read_json(checkpoint / COMPLETE)
        files, made_by = dict(record["files"]), record["fingerprint"]
        float(record["seconds"])
    except (TagdistillError, KeyError, TypeError, ValueError):
        return f"damaged ({COMPLETE})"
    if made_by != fingerprint:
        return "of other settings, data or code"
    for name, sha256 in files.items():
        if not (checkpoint / name).is_file():
            return f"incomplete ({name} is missing)"
        if sha256_file(checkpoint / name) != sha256:
            return f"damaged ({name})"
    return None


def seconds_of(checkpoint: Path) -> float:
    """Return the seconds of training that led to a checkpoint."""
    return float(read_json(checkpoint / COMPLETE)["seconds"])


def open_checkpoints(folder: Path, fingerprint: str) -> None:
    """Make the folder of the checkpoints of a run. Raises TagdistillError for a folder with files of another kind."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    # Names that begin with a dot are nobody's checkpoints, and stay: a network file system's, say.
    others = [path for path in folder.iterdir() if not _is_own(path) and not path.name.startswith(".")]
    known = record.exists() or not _checkpoints(folder) or any(folder.glob(f"*/{COMPLETE}"))
    if others or not known:
        raise TagdistillError(
            "this folder holds files that are no checkpoints of tagdistill",
            where=str(folder),
            hint="Choose an empty or a new folder: checkpoints are removed at the end. Nothing was changed.",
        )
    write_json(record, {"fingerprint": fingerprint})


def remove_checkpoints(folder: Path) -> None:
    """Remove a run's checkpoints, and their folder unless something else was put there."""
    for path in folder.iterdir():
        if _is_own(path):
            discard(path)
    with suppress(OSError):
        folder.rmdir()


def _is_own(path: Path) -> bool:
    if path.name in (BEST, RECORD) or writer_of(path) is not None:
        return True
    return any(known.match(path.name) for known in (NAME, HALF))
