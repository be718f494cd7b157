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
    if not len(lengths):
        return []
    order = np.arange(len(lengths)) if rng is None else np.argsort(rng.random(len(lengths)), kind="stable")
    short = lengths.astype(np.min_scalar_type(int(lengths.max())))  # small numbers are sorted several times as fast
    order = order[np.argsort(short[order], kind="stable")]
    batches = np.split(order, _bounds(lengths[order], budget))
    if rng is not None:
        rng.shuffle(batches)
    return batches


def batches_in(lengths: NDArray[np.int64], budget: int) -> int:
    """Return how many batches `bucketed` makes of sentences."""
    return len(_bounds(np.sort(lengths), budget)) + 1 if len(lengths) else 0


def _bounds(lengths: NDArray[np.int64], budget: int) -> NDArray[np.intp]:
    """Return where batches end, but for the last, of sentences in the order of their lengths.

    All sentences of one length are divided at once: a batch whose longest sentence has it has as many as fit.
    """
    starts: list[int] = np.flatnonzero(np.diff(lengths, prepend=-1)).tolist()
    bounds, begin = [np.zeros(0, np.intp)], 0
    for first, end in zip(starts, [*starts[1:], len(lengths)], strict=True):
        most = max(1, budget // max(1, int(lengths[first])))
        inside = np.arange(max(first, begin + most), end, most)
        if len(inside):
            begin = int(inside[-1])
        bounds.append(inside)
    return np.concatenate(bounds)


def endless(lengths: NDArray[np.int64], budget: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield shuffled batches without end, pass after pass."""
    while True:
        yield from bucketed(lengths, budget, rng)


def by_sentence(values: Tensor, lengths: Tensor) -> Tensor:
    """Return the values (words, ...) of a batch, sentence after sentence, as (batch, time, ...), padded with 0.

    `lengths`: words of each sentence, on the host.
    """
    batch, time, device = len(lengths), int(lengths.max()), values.device
    ends = lengths.to(device, non_blocking=True)
    numbers = torch.arange(batch, device=device)
    row = torch.repeat_interleave(numbers, ends, output_size=len(values))
    # A word's place in the padded rows is its own number, and the padding of all rows before.
    padding = time * numbers - (ends.cumsum(0) - ends)
    places = padding.index_select(0, row) + torch.arange(len(values), device=device)
    padded = values.new_zeros(batch * time, *values.shape[1:]).index_copy(0, places, values)
    return padded.view(batch, time, *values.shape[1:])


def gather(
    values: Tensor, offsets: NDArray[np.int64], rows: NDArray[np.intp], dtype: torch.dtype, fill: int | float = 0
) -> Tensor:
    """Return the flat per-word values of some sentences as (batch, time, ...), with `fill` as padding.

    `values` are [words, ...]; the words of sentence i are those from offsets[i] to offsets[i + 1].
    """
    begin = offsets[rows, None]
    lengths = offsets[rows + 1, None] - begin
    steps = np.arange(lengths.max())
    inside = steps < lengths
    padded = values[torch.from_numpy(np.where(inside, begin + steps, begin))].to(dtype)
    padded[~torch.from_numpy(inside)] = fill
    return padded
