"""The lines of metrics.jsonl: the parts of the loss, summed up between two of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tagdistill.training.loss import LossParts
    from tagdistill.training.processes import Processes


@dataclass
class Sums:
    """Sums over the updates since the last line of the log, for this process; those of tensors stay on their device."""

    loss: Tensor | float = 0.0
    gold: Tensor | float = 0.0
    teacher: Tensor | float = 0.0
    clipped: Tensor | float = 0.0
    gold_updates: int = 0
    teacher_updates: int = 0
    words: int = 0
    updates: int = 0
    seconds: float = 0.0  # before `began`
    began: float = field(default_factory=time.monotonic)

    def add(self, loss: Tensor, parts: LossParts, weight: float, share: float, words: int) -> None:
        """Add this process's share of an update: its loss as differentiated, its parts and its teacher's weight."""
        self.loss = self.loss + loss.detach()
        self.gold = self.gold + share * parts["gold"].detach()
        self.teacher = self.teacher + share * parts["teacher"].detach()
        self.gold_updates += weight < 1
        self.teacher_updates += weight > 0
        self.words += words * (share > 0)

    def count(self, norm: Tensor, limit: float) -> None:
        """Count an update, and whether its gradient, of this norm, was clipped."""
        self.updates += 1
        self.clipped = self.clipped + (norm.detach() > limit)  # stays on the device: reading it would wait for the GPU

    def line(self, processes: Processes, device: str) -> dict[str, float]:
        """Return the means over the updates and all processes, and the words a second."""
        own = [float(self.loss), float(self.gold), float(self.teacher), float(self.words)]
        loss, gold, teacher, words = processes.total(own, torch.device(device))
        updates = max(1, self.updates)
        line = {
            "loss": loss / processes.number / updates,
            # Each part's mean is over the updates that had it: of those on text without labels none has gold.
            "gold": gold / max(1, self.gold_updates),
            "teacher": teacher / max(1, self.teacher_updates),
            "clipped": float(self.clipped) / updates,
        }
        if (seconds := self.so_far()) > 0:
            line["words_per_second"] = round(words / seconds, 1)
        return line

    def so_far(self) -> float:
        """Return the seconds that these updates took."""
        return self.seconds + time.monotonic() - self.began

    def record(self) -> dict[str, Any]:
        """Return the sums as numbers, for a checkpoint: `Sums(**record)` goes on from them."""
        values = {name: float(value) if isinstance(value, Tensor) else value for name, value in vars(self).items()}
        values.pop("began")
        return {**values, "seconds": self.so_far()}
