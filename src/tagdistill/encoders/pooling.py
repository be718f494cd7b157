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

    `pooling` is mean, first or last. Special pieces and padding never enter.
    """
    flat = states.flatten(0, 1)
    if pooling == "first":
        return flat[batch.starts].float()
    if pooling == "last":
        return flat[batch.starts + batch.lengths - 1].float()
    if pooling != "mean":
        raise ValueError(f"pooling {pooling!r}: mean, first or last")
    word = torch.repeat_interleave(torch.arange(len(batch.lengths), device=flat.device), batch.lengths)
    inside = torch.arange(len(word), device=flat.device) - (batch.lengths.cumsum(0) - batch.lengths)[word]
    pieces = flat[batch.starts[word] + inside].float()
    total = pieces.new_zeros(len(batch.lengths), flat.shape[1]).index_add_(0, word, pieces)
    return total / batch.lengths[:, None]
