"""Batches in which languages are drawn by a power of their sizes, so that small languages are seen more often.

As XLM-R draws its languages (Conneau et al. 2020, section 3.1): with probabilities in proportion to n ** alpha, n being
the number of sentences of a language. Here every pass holds that share of each language, to the sentence, and no
sentence comes again before all others of its language came.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from tagdistill.models.batches import bucketed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

TINY = 1e-6  # of a sentence: rounding noise


def endless_by_language(
    lengths: NDArray[np.int64], budget: int, rng: np.random.Generator, *, sizes: Sequence[int], alpha: float
) -> Iterator[NDArray[np.intp]]:
    """Yield shuffled batches without end, pass after pass; a pass has as many sentences as there are.

    `lengths` are those of all sentences, language after language; `sizes` says how many each language has.
    """
    ends = np.cumsum(sizes)
    streams = [_shuffled(np.arange(end - size, end), rng) for end, size in zip(ends, sizes, strict=True)]
    for numbers in quotas(sizes, alpha):
        rows = np.array([next(stream) for stream, n in zip(streams, numbers, strict=True) for _ in range(n)], np.intp)
        yield from (rows[batch] for batch in bucketed(lengths[rows], budget, rng))


def quotas(sizes: Sequence[int], alpha: float) -> Iterator[list[int]]:
    """Yield how many sentences of each language every pass holds.

    After any number of passes a language has had its share of all sentences, to less than one.
    """
    powers = np.array([size**alpha if size else 0.0 for size in sizes], np.float64)
    shares, whole, had = powers / powers.sum(), int(sum(sizes)), np.zeros(len(sizes), np.int64)
    for number in count(1):
        due = shares * whole * number
        total = np.floor(due + TINY).astype(np.int64)
        total[np.argsort(total - due, kind="stable")[: whole * number - int(total.sum())]] += 1  # largest remainders
        yield (total - had).tolist()
        had = total


def _shuffled(rows: NDArray[np.intp], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(rows).tolist()
