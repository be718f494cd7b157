"""Batches of sentences of similar length within a budget of words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def bucketed(lengths: NDArray[np.int64], budget: int, rng: np.random.Generator | None = None) -> list[NDArray[np.intp]]:
    """Split sentences into batches of similar length whose words, padding included, stay within `budget`.

    A sentence longer than the budget is a batch of its own. With `rng`, sentences of equal length are shuffled before
    the split and batches after it, so that batches differ from pass to pass; without, the order is fixed.
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
        rng.shuffle(batches)
    return batches


def endless(lengths: NDArray[np.int64], budget: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield shuffled batches without end, pass after pass."""
    while True:
        yield from bucketed(lengths, budget, rng)


def gather(
    values: Tensor, offsets: NDArray[np.int64], rows: NDArray[np.intp], dtype: torch.dtype, fill: int | float = 0
) -> Tensor:
    """Return the flat per-word values of some sentences as (batch, time, ...), with `fill` as padding.

    `values` are [words, ...]; the words of sentence i are those from offsets[i] to offsets[i + 1].
    """
    begin, lengths = offsets[rows, None], np.diff(offsets)[rows, None]
    steps = np.arange(lengths.max())
    inside = steps < lengths
    padded = values[torch.from_numpy(np.where(inside, begin + steps, begin))].to(dtype)
    padded[~torch.from_numpy(inside)] = fill
    return padded
