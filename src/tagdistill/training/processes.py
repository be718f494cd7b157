"""Several processes that train one model, each on its share of every batch: `--gpus`, torchrun or accelerate launch.

All of them see the same plan of updates and hold the same weights. An update's gradient is that of its whole batch, so
that the number of processes decides how fast a model is trained and not what it learns; only what is drawn at random
(dropout) differs. The first process alone locks, scores the dev set and writes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import torch
import torch.distributed as dist

from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The others wait for the first one while it waits for a lock or scores a large dev set. If one of them dies, the
# launcher ends the rest at once.
PATIENCE = timedelta(days=1)


def launch(gpus: int, device: str) -> NoReturn:
    """Run this very command again as `gpus` processes, in the place of this one. Raises ConfigError without them."""
    found = torch.cuda.device_count() if device != "cpu" else 0
    if gpus > found:
        raise ConfigError(
            f"{gpus} GPUs are asked for, {found} can be seen with device {device}",
            where="--gpus",
            hint="Ask for no more than the machine or the job has; CUDA_VISIBLE_DEVICES says which are seen.",
        )
    os.execv(sys.executable, [*torchrun(gpus), *sys.argv[1:]])


def torchrun(number: int) -> list[str]:
    """Return the words of a command line that start tagdistill as several processes."""
    # Without the two dashes torchrun would look for options of its own among those that follow.
    options = ["--standalone", f"--nproc-per-node={number}", "-m", "--"]
    return [sys.executable, "-m", "tagdistill.training.launcher", *options, "tagdistill"]


@dataclass(frozen=True)
class Processes:
    """This process among those that a launcher started; alone without one."""

    rank: int = 0
    number: int = 1

    @classmethod
    def started(cls) -> Processes:
        """Return what the launcher says in the environment."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def first(self) -> bool:
        return self.rank == 0

    def join(self, device: str) -> None:
        """Wait until all processes have come here, and take a GPU each."""
        if self.number > 1:
            from accelerate import PartialState

            PartialState(cpu=device == "cpu", timeout=PATIENCE)

    def leave(self) -> None:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()

    def share(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], float]:
        """Return this process's sentences of a batch, and their share of it.

        Where there are fewer sentences than processes, some take one that weighs nothing: all must take part.
        """
        own = rows[self.rank :: self.number]
        return (own, len(own) / len(rows)) if len(own) else (rows[:1], 0.0)

    def told(self, value: Any) -> Any:
        """Return the first process's value in all of them."""
        if self.number == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def total(self, values: list[float], device: torch.device) -> list[float]:
        """Return the sums of some numbers over all processes."""
        if self.number == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float32, device=device)
        dist.all_reduce(summed)
        return summed.tolist()

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.number > 1:
            dist.barrier()
