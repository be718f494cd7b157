"""Folds of the labelled text: each part is labelled by a teacher that has not seen it.

A sentence's fold follows from its words alone, so that repeats of it, in any corpus and language, are in the same fold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from tagdistill.artifacts.scratch import scratch
from tagdistill.data.same_sentences import sentence_keys
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.distill.dataset import Source

WORDS_AT_ONCE = 1 << 16  # whose vectors are copied together


class Fold(NamedTuple):
    """One of several folds, counted from 0."""

    number: int
    of: int


def folds_of(sentences: Sequence[Sequence[str]], folds: int) -> NDArray[np.int64]:
    """Return the fold of each sentence, 0 to `folds` - 1."""
    return (sentence_keys(sentences) % np.uint64(folds)).astype(np.int64)


def without_fold(sources: Sequence[Source], fold: Fold, room: Path | None = None) -> list[Source]:
    """Return corpora without the sentences of a fold; `room` is a folder for temporary files.

    Raises DataError where no sentence is left.
    """
    found = [_only(source, np.flatnonzero(folds_of(source.tokens, fold.of) != fold.number), room) for source in sources]
    if not any(len(source.lengths) for source in found):
        raise DataError(
            f"all sentences of {', '.join(source.language for source in sources)} are in fold {fold.number}",
            where="teacher.folds",
            hint="Take fewer folds, or more labelled sentences.",
        )
    return found


def _only(source: Source, rows: NDArray[np.intp], room: Path | None) -> Source:
    """Return a corpus with some of its sentences only; it has no values of a teacher."""
    inside = np.zeros(len(source.lengths), bool)
    inside[rows] = True
    words = np.flatnonzero(np.repeat(inside, source.lengths))
    vectors = source.vectors
    if vectors is not None:
        kept = torch.from_numpy(scratch(room, (len(words), vectors.shape[1]), np.float16))
        for begin in range(0, len(words), WORDS_AT_ONCE):
            part = torch.from_numpy(words[begin : begin + WORDS_AT_ONCE])
            kept[begin : begin + len(part)] = vectors[part]
        vectors = kept
    return replace(
        source,
        tokens=[source.tokens[row] for row in rows.tolist()],
        offsets=np.concatenate([[0], np.cumsum(source.lengths[rows], dtype=np.int64)]),
        vectors=vectors,
        labels=None if source.labels is None else source.labels[torch.from_numpy(words)],
    )
