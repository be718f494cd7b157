"""Batches of sentences of like length within a budget of words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def bucketed(lengths: NDArray[np.int64], budget: int, rng: np.random.Generator | None = None) -> list[NDArray[np.intp]]:
    """Cut sentences into batches of like length whose words, padding included, stay within `budget`.

    A sentence longer than the budget is a batch of its own. With `rng` equal lengths are shuffled before they are cut
    and the batches are shuffled after, so that every pass sees other neighbours; without, the order is fixed.
    """
    ties = rng.random(len(lengths)) if rng is not None else np.arange(len(lengths))
    order = np.lexsort((ties, lengths))
    batches: list[NDArray[np.intp]] = []
    begin = 0
    for stop in range(1, len(order) + 1):
        # Sorted: the sentence at `stop` is the longest of the batch begin..stop.
        if stop == len(order) or lengths[order[stop]] * (stop - begin + 1) > budget:
            batches.append(order[begin:stop])
            begin = stop
    if rng is not None:
        rng.shuffle(batches)  # type: ignore[arg-type]
    return batches


def endless(lengths: NDArray[np.int64], budget: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield batches for ever, pass after pass."""
    while True:
        yield from bucketed(lengths, budget, rng)


def pad(rows: Sequence[Tensor], width: int, dtype: torch.dtype, fill: int | float = 0) -> Tensor:
    """Stack (time, ...) rows of mixed lengths into (batch, width, ...)."""
    padded = torch.full((len(rows), width, *rows[0].shape[1:]), fill, dtype=dtype, device=rows[0].device)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


def gather(
    values: Tensor, offsets: NDArray[np.int64], rows: NDArray[np.intp], dtype: torch.dtype, fill: int | float = 0
) -> Tensor:
    """Return the flat per-word values of some sentences as (batch, time, ...), `fill` past a sentence's end."""
    begin, lengths = offsets[rows, None], np.diff(offsets)[rows, None]
    steps = np.arange(lengths.max())
    inside = steps < lengths
    padded = values[torch.from_numpy(np.where(inside, begin + steps, begin))].to(dtype)
    padded[~torch.from_numpy(inside)] = fill
    return padded
