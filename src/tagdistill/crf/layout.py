"""Where the tokens of a batch are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where the tokens are in (batch, time)."""

    lengths: Tensor  # (batch,) int64, contiguous
    time: int

    @cached_property
    def position(self) -> Tensor:
        """(time,) 0, 1, 2, ..."""
        return torch.arange(self.time, device=self.lengths.device)

    @cached_property
    def final(self) -> Tensor:
        """(batch,) position of the last token."""
        return self.lengths - 1

    @cached_property
    def reach(self) -> Tensor:
        """(batch, time) the position of each token, in padding that of the last one."""
        return torch.minimum(self.position, self.final[:, None])

    @cached_property
    def mask(self) -> Tensor:
        """(batch, time), True on tokens."""
        return self.position < self.lengths[:, None]

    @cached_property
    def weight(self) -> Tensor:
        """(batch, time, 1) float64, 1 on tokens: multiplying by it is several times faster than masked_fill."""
        return self.mask[..., None].to(torch.float64)

    @cached_property
    def first(self) -> Tensor:
        """(batch,) row of each sentence's first token in (batch * time, label)."""
        return self.first_of(self.time)

    def first_of(self, time: int) -> Tensor:
        """The same where there are more time steps."""
        return torch.arange(0, self.batch * time, time, device=self.lengths.device)

    def tokens(self, values: Tensor) -> Tensor:
        """(batch, time or more, label) -> (batch, time, label): padding is replaced by the sentence's last token."""
        batch, time, labels = values.shape
        first = self.first if time == self.time else self.first_of(time)
        rows = (self.reach + first[:, None]).view(-1)
        return values.reshape(-1, labels).index_select(0, rows).view(batch, self.time, labels)

    @property
    def batch(self) -> int:
        """The number of sentences."""
        return self.lengths.shape[0]
