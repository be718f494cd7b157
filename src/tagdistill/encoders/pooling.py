"""One vector a word from the states of its pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.encoders.pieces import Batch


def combined(states: Sequence[Tensor], *, mixed: bool) -> Tensor:
    """Return one tensor of the states (..., hidden) of several layers: their average.

    `mixed`: the layers beside one another (..., layers * hidden), for a model that learns their weights.
    """
    if len(states) == 1:
        return states[0]
    return torch.cat(list(states), -1) if mixed else torch.stack(list(states)).mean(0)


def pool(states: Tensor, batch: Batch, pooling: str) -> Tensor:
    """Return word vectors (word, hidden), float32, from piece states (batch, piece, hidden).

    `pooling` is mean, first or last. Special pieces and padding never enter. The pieces of a word are added one after
    the other, on a GPU too, so that the same states give the same bytes; nothing is read back from the device.
    """
    flat = states.flatten(0, 1)
    if pooling == "first":
        return flat.index_select(0, batch.starts).float()
    if pooling == "last":
        return flat.index_select(0, batch.starts + batch.lengths - 1).float()
    if pooling != "mean":
        raise ValueError(f"pooling {pooling!r}: mean, first or last")
    words = torch.arange(len(batch.lengths), device=flat.device)
    word = torch.repeat_interleave(words, batch.lengths, output_size=batch.pieces)
    first = batch.starts - (batch.lengths.cumsum(0) - batch.lengths)
    places = first.index_select(0, word) + torch.arange(batch.pieces, device=flat.device)
    pieces = flat.index_select(0, places).float()
    # `unsafe` leaves out a look at the lengths, for which the host would wait.
    total = torch.segment_reduce(pieces, "sum", lengths=batch.lengths, axis=0, unsafe=True)
    return total / batch.lengths[:, None]
