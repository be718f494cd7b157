"""Which test sentences a student saw in training: in labelled or unlabelled text, of any language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.artifacts.files import write_json
from tagdistill.data.corpus import read_corpus
from tagdistill.data.same_sentences import are_in, written_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "repeats"
FORMAT = 1
NONE = np.zeros(0, np.uint64)


def find_repeats(seen: Sequence[Path], tests: Sequence[Path], out: Path) -> None:
    """Write the repeats of each test set; `seen` are the corpora that students train on.

    For each language the file has the number of its test sentences, how many of them are in its own training text, how
    many only in its unlabelled text, how many only in text of other languages, and the places of all of them, from 0.
    """
    known: dict[tuple[str, str], NDArray[np.uint64]] = {}
    for path in seen:
        corpus = read_corpus(path)
        known[corpus.language, corpus.split] = np.unique(written_keys(corpus))
    every = np.unique(np.concatenate(list(known.values()) or [NONE]))
    found = {}
    for path in tests:
        corpus = read_corpus(path)
        found[corpus.language] = _repeats(corpus.language, written_keys(corpus), known, every)
    write_json(out, {"format": FORMAT, "kind": KIND, "languages": found})


def _repeats(
    language: str,
    keys: NDArray[np.uint64],
    known: Mapping[tuple[str, str], NDArray[np.uint64]],
    every: NDArray[np.uint64],
) -> dict[str, Any]:
    train, unlabelled = (are_in(keys, known.get((language, split), NONE)) for split in ("train", "unlabelled"))
    anywhere = are_in(keys, every)
    return {
        "sentences": len(keys),
        "train": int(train.sum()),
        "unlabelled": int((unlabelled & ~train).sum()),
        "other_languages": int((anywhere & ~train & ~unlabelled).sum()),
        "places": np.flatnonzero(anywhere).tolist(),
    }
