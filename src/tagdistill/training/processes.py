"""Several processes that train one model, each on its share of every batch: `--gpus`, torchrun or accelerate launch.

All of them follow the same plan of updates and hold the same weights. The gradient of an update is that of its whole
batch, so that the number of processes decides how fast a model is trained and not what it learns; only random numbers
(dropout) differ. Each scores its share of the dev sets; only the first process locks and writes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from tagdistill.artifacts import environment
from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The others wait for the first one while it waits for a lock. If one of them dies, the launcher ends the rest at once.
MAX_WAIT = timedelta(days=1)
Value = TypeVar("Value")


def launch(gpus: int, device: str) -> NoReturn:
    """Replace this process by `gpus` processes that run the same command.

    Raises ConfigError if fewer GPUs are visible.
    """
    visible = torch.cuda.device_count() if device != "cpu" else 0
    if gpus > visible:
        raise ConfigError(
            f"{gpus} GPUs are asked for, {visible} are visible with device {device}",
            where="--gpus",
            hint="Ask for no more than the machine or the job has; CUDA_VISIBLE_DEVICES limits which are visible.",
        )
    os.execv(sys.executable, [*torchrun(gpus), *sys.argv[1:]])


def torchrun(number: int) -> list[str]:
    """Return the command line that starts tagdistill as several processes, without tagdistill's own arguments."""
    # Without the two dashes torchrun would look for its own options among those that follow.
    options = ["--standalone", f"--nproc-per-node={number}", "-m", "--"]
    return [sys.executable, "-m", "tagdistill.training.launcher", *options, "tagdistill"]


@dataclass(frozen=True)
class Processes:
    """One process among those that a launcher started; the only one without a launcher."""

    rank: int = 0
    number: int = 1

    @classmethod
    def started(cls) -> Processes:
        """Return this process as the launcher's environment variables describe it."""
        return cls(environment.count("RANK", 0), environment.count("WORLD_SIZE", 1, least=1))

    @property
    def first(self) -> bool:
        """Whether this is the process that locks and writes."""
        return self.rank == 0

    def join(self, device: str) -> None:
        """Wait until all processes are here, and take a GPU each."""
        if self.number == 1:
            return
        if device == "cuda":
            torch.cuda.set_device(environment.count("LOCAL_RANK", self.rank))
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=MAX_WAIT)

    def together(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are the means over all processes."""
        if self.number == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        # Not every update reaches every weight (a softmax head's transitions). No device is named: the batches are on
        # theirs, and their lengths stay on the host.
        return DistributedDataParallel(module, find_unused_parameters=True, broadcast_buffers=False)

    def leave(self) -> None:
        """Leave the group of processes."""
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()

    def share(self, rows: NDArray[np.intp], weights: NDArray[np.int64]) -> tuple[NDArray[np.intp], float]:
        """Return this process's sentences of a batch, and their share of its weight (0 to 1).

        `weights`: of each sentence of the batch. If there are fewer sentences than processes, some take one with share
        0: all must take part.
        """
        own = slice(self.rank, None, self.number)
        return (rows[own], float(weights[own].sum() / weights.sum())) if len(rows[own]) else (rows[:1], 0.0)

    def part(self, sentences: int) -> NDArray[np.intp]:
        """Return the numbers of this process's sentences of a corpus; all of them together are the corpus."""
        return np.arange(self.rank, sentences, self.number)

    def from_first(self, value: Value) -> Value:
        """Return the first process's value in all of them."""
        if self.number == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def total(self, values: list[float], device: torch.device | str) -> list[float]:
        """Return the sums of some numbers over all processes."""
        if self.number == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(sums)
        return [float(each) for each in sums.tolist()]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.number > 1:
            dist.barrier()
