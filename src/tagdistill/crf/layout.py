"""Where the tokens of a batch are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

MOST_KEPT_CELLS = 1 << 14  # of a batch whose positions are kept for the next one of that shape


class Positions(NamedTuple):
    """Indices, int64, that depend on nothing but the shape of a batch. They are shared: nobody may write to them."""

    sentence: Tensor  # (batch,) 0, 1, 2, ...
    step: Tensor  # (time,) 0, 1, 2, ...
    first: Tensor  # (batch,) the row of each sentence's first token in (batch * time, label)
    cell: Tensor  # (batch, time) the row of each token in (batch * time, label)
    source: Tensor  # (time, batch) the same, contiguous
    row: Tensor  # (time, batch) the row of each token in (time * batch, label)
    turned: Tensor  # (batch,) what is added to batch times the last position to turn a sentence around


def on_host(tensor: Tensor) -> bool:
    """Return whether values can be read at once; a device would have to finish first all that it was given."""
    return tensor.device.type == "cpu"


def positions(batch: int, time: int, device: torch.device) -> Positions:
    """Return the positions of a batch; those of a small one on the CPU are made once."""
    if device.type == "cpu" and batch * time <= MOST_KEPT_CELLS:
        return _kept_positions(batch, time)
    return _positions(batch, time, device)


@lru_cache(maxsize=64)
def _kept_positions(batch: int, time: int) -> Positions:
    with torch.inference_mode(False):  # a later caller may need gradients, which refuse tensors of inference mode
        return _positions(batch, time, torch.device("cpu"))


def _positions(batch: int, time: int, device: torch.device) -> Positions:
    cells = torch.arange(batch * time, device=device)
    cell, sentence = cells.view(batch, time), torch.arange(batch, device=device)
    return Positions(
        sentence,
        torch.arange(time, device=device),
        cell[:, 0].contiguous(),
        cell,
        cell.t().contiguous(),
        cells.view(time, batch),
        2 * sentence,
    )


@dataclass(frozen=True)
class Layout:
    """Where the tokens are in (batch, time)."""

    lengths: Tensor  # (batch,) int64, contiguous
    time: int
    shortest: int = 1  # no length is less

    @cached_property
    def positions(self) -> Positions:
        """The indices of this shape."""
        return positions(self.batch, self.time, self.lengths.device)

    def positions_of(self, time: int) -> Positions:
        """The same where there are more time steps."""
        return self.positions if time == self.time else positions(self.batch, time, self.lengths.device)

    @cached_property
    def final(self) -> Tensor:
        """(batch,) position of the last token."""
        return self.lengths - 1

    @cached_property
    def last(self) -> Tensor:
        """(batch,) the row of each sentence's last token in (batch * time, label)."""
        return self.positions.first + self.final

    def last_of(self, time: int) -> Tensor:
        """The same where there are more time steps."""
        return self.last if time == self.time else self.positions_of(time).first + self.final

    @cached_property
    def turned(self) -> Tensor:
        """(time, batch) rows in (time * batch, label) from each sentence's last token back; any row in padding."""
        # Row t * batch + b becomes (final - t) * batch + b; past the end that is negative: without its sign, some row.
        both = torch.add(self.positions.turned, self.final, alpha=self.batch)
        return (both - self.positions.row).abs_()

    @cached_property
    def mask(self) -> Tensor:
        """(batch, time), True on tokens."""
        with torch.inference_mode(False):  # autograd saves it for backward
            return self.positions.step < self.lengths[:, None]

    @cached_property
    def weight(self) -> Tensor:
        """(batch, time, 1) float64, 1 on tokens: multiplying by it is several times faster than masked_fill."""
        with torch.inference_mode(False):
            return self.mask[..., None].to(torch.float64)

    def tokens(self, values: Tensor) -> Tensor:
        """(batch, time or more, label) -> (batch, time, label): padding is replaced by the sentence's last token."""
        batch, time, labels = values.shape
        cell = self.positions.cell if time == self.time else self.positions_of(time).cell[:, : self.time]
        rows = cell.minimum(self.last_of(time)[:, None]).view(-1)
        return values.reshape(-1, labels).index_select(0, rows).view(batch, self.time, labels)

    @property
    def batch(self) -> int:
        """The number of sentences."""
        return self.lengths.shape[0]
