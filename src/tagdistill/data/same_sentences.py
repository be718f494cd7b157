"""Which sentences occur elsewhere too, word for word."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from tagdistill.data.corpus import read_corpus
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def sentence_keys(sentences: Iterable[Sequence[str]]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each sentence's words: eight bytes, however long the sentence is."""
    digests = (blake2b(_text(words), digest_size=8).digest() for words in sentences)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64)


def _text(words: Sequence[str]) -> bytes:
    return "".join(f"{len(word)}:{word}" for word in words).encode("utf-8", "surrogatepass")


def are_in(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return for each key whether it is among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[places] == keys)


def not_in_tests(sentences: Sequence[Sequence[str]], tests: Sequence[Path], where: str) -> list[int]:
    """Return the numbers, from 0, of the sentences that no test set holds.

    Raises DataError, naming `where`, if there is none.
    """
    known = np.unique(np.concatenate([sentence_keys(read_corpus(path).tokens) for path in tests]))
    kept: list[int] = np.flatnonzero(~are_in(sentence_keys(sentences), known)).tolist()
    if not kept:
        hint = "Set `exclude_test_repeats: false`, or take other text."
        raise DataError("every sentence is in a test set too, so that none is left", where=where, hint=hint)
    return kept
