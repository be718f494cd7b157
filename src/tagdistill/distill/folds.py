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
from tagdistill.encoders.pieces import offsets
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from tagdistill.distill.dataset import Source
    from tagdistill.encoders.pieces import Pieces, WordPieces
    from tagdistill.encoders.store import FeatureStore

ROWS_AT_ONCE = 1 << 16  # vectors that are copied together


class Fold(NamedTuple):
    """One of several folds, counted from 0."""

    number: int
    of: int


def folds_of(sentences: Sequence[Sequence[str]], folds: int) -> NDArray[np.int64]:
    """Return the fold of each sentence, 0 to `folds` - 1."""
    return (sentence_keys(sentences) % np.uint64(folds)).astype(np.int64)


def without_fold(
    sources: Sequence[Source], fold: Fold, room: Path | None = None, words: WordPieces | None = None
) -> list[Source]:
    """Return corpora without the sentences of a fold.

    `room` is a folder for temporary files, `words` the tokenizer, which is needed where corpora have states of pieces.
    Raises DataError where no sentence is left, MismatchError for states that are not those of the text.
    """
    kept = [np.flatnonzero(folds_of(source.tokens, fold.of) != fold.number) for source in sources]
    found = [_only(source, rows, room, words) for source, rows in zip(sources, kept, strict=True)]
    if not any(len(source.lengths) for source in found):
        raise DataError(
            f"all sentences of {', '.join(source.language for source in sources)} are in fold {fold.number}",
            where="teacher.folds",
            hint="Take fewer folds, or more labelled sentences.",
        )
    return found


def _only(source: Source, rows: NDArray[np.intp], room: Path | None, tokenizer: WordPieces | None) -> Source:
    """Return a corpus with some of its sentences only; it has no values of a teacher."""
    words = _parts_of(rows, source.lengths)
    states = source.states
    if states is not None:
        assert tokenizer is not None  # whoever trains with states has it
        states = _states_of(states, tokenizer(source.tokens), rows, room)
    return replace(
        source,
        tokens=[source.tokens[row] for row in rows.tolist()],
        offsets=offsets(source.lengths[rows]),
        vectors=None if source.vectors is None else _copied(source.vectors, words, room),
        labels=None if source.labels is None else source.labels[torch.from_numpy(words)],
        states=states,
    )


def _states_of(store: FeatureStore, pieces: Pieces, rows: NDArray[np.intp], room: Path | None) -> FeatureStore:
    """Return the states of some sentences of a text; `pieces` are those of all of it."""
    store.check_windows(pieces.window_lengths)
    windows = np.asarray(pieces.windows_of(rows.tolist()), np.int64)
    kept = _copied(store.features, _parts_of(windows, pieces.window_lengths), room)
    return replace(store, features=kept, offsets=torch.from_numpy(offsets(pieces.window_lengths[windows])))


def _parts_of(chosen: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the words of sentences are, or the pieces of windows, that are chosen in order."""
    inside = np.zeros(len(lengths), bool)
    inside[chosen] = True
    return np.flatnonzero(np.repeat(inside, lengths))


def _copied(values: Tensor, rows: NDArray[np.int64], room: Path | None) -> Tensor:
    kept = torch.from_numpy(scratch(room, (len(rows), values.shape[1]), np.float16))
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        part = torch.from_numpy(rows[begin : begin + ROWS_AT_ONCE])
        kept[begin : begin + len(part)] = values[part]
    return kept
