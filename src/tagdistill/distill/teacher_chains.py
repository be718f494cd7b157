"""A teacher's own distributions, rebuilt from its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tagdistill.artifacts.scratch import scratch
from tagdistill.crf import LinearChain
from tagdistill.models.batches import bucketed, gather

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.distill.score_table import Scores

BATCH_WORDS = 4000


def chains(scores: Scores) -> Iterator[tuple[NDArray[np.intp], LinearChain]]:
    """Yield the teacher's own distributions, rebuilt from its scores, in length-bucketed float64 batches."""
    for rows in one_chain_each([scores]):
        yield rows, chain_of(scores, rows)


def one_chain_each(every: Sequence[Scores]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of length-bucketed batches of sentences, in each of which every teacher has a single chain."""
    lengths = np.diff(every[0].offsets)
    folds = [one.fold for one in every if one.fold is not None]
    if not folds:
        yield from bucketed(lengths, BATCH_WORDS)
        return
    _, group = np.unique(np.stack(folds), axis=1, return_inverse=True)
    for number in range(int(group.max(initial=-1)) + 1):
        rows = np.flatnonzero(group.reshape(-1) == number)
        for places in bucketed(lengths[rows], BATCH_WORDS):
            yield rows[places]


def chain_of(scores: Scores, rows: NDArray[np.intp]) -> LinearChain:
    """Return the teacher's own distributions of some sentences, in float64; if there are folds, of a single one."""
    every = scores.transitions, scores.start, scores.end
    if scores.fold is not None:
        every = tuple(values[scores.fold[rows[0]]] for values in every)
    transitions, start, end = (torch.from_numpy(values).double() for values in every)
    padded = gather(torch.from_numpy(scores.emissions), scores.offsets, rows, torch.float64)
    lengths = torch.from_numpy(np.diff(scores.offsets)[rows])
    return LinearChain(padded, transitions, lengths, start=start, end=end)


def expected_counts(scores: Scores, room: Path | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a teacher's expected label counts [words, labels] and transition counts [sentences, labels, labels].

    They are all that the exact structural loss needs of the teacher (Wang et al. 2021, case 1a). `room`: a folder for
    temporary files, which they are mapped from; None: they are in memory.
    """
    words, labels = scores.emissions.shape
    unary = scratch(room, (words, labels), np.float32)
    pairs = scratch(room, (len(scores.ids), labels, labels), np.float32)
    for rows, chain in chains(scores):
        marginals = chain.marginals.float().numpy()
        pairs[rows] = chain.transition_marginals.float().numpy()
        for place, row in enumerate(rows):
            begin, end = scores.offsets[row], scores.offsets[row + 1]
            unary[begin:end] = marginals[place, : end - begin]
    return unary, pairs
