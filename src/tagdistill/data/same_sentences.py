"""Which sentences occur elsewhere too: in the same words, or written alike, however they are split into words."""

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

    from tagdistill.data.corpus import Corpus, Multiword


def sentence_keys(sentences: Iterable[Sequence[str]]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each sentence's words: eight bytes, however long the sentence is."""
    return _hashes("".join(f"{len(word)}:{word}" for word in words) for words in sentences)


def written(words: Sequence[str], multiword: Iterable[Multiword] = ()) -> str:
    """Return a sentence as it is written, without blanks: the same for raw text and for its words.

    >>> written(["de", "le", "chat", "."], [(0, 2, "du")]) == written(["du", "chat."])
    True
    """
    parts = list(words)
    for start, end, form in multiword:
        parts[start:end] = [form, *[""] * (end - start - 1)]
    return "".join("".join(parts).split())


def written_keys(corpus: Corpus) -> NDArray[np.uint64]:
    """Return a 64-bit hash of how each sentence of a corpus is written."""
    return _hashes(map(written, corpus.tokens, corpus.multiword))


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = (blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64)


def are_in(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return for each key whether it is among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[places] == keys)


def not_in_tests(sentences: Iterable[str], tests: Sequence[Path], where: str) -> list[int]:
    """Return the numbers, from 0, of the sentences (from `written`) that no test set holds.

    Raises DataError, naming `where`, if there is none.
    """
    known = np.unique(np.concatenate([written_keys(read_corpus(path)) for path in tests]))
    kept: list[int] = np.flatnonzero(~are_in(_hashes(sentences), known)).tolist()
    if not kept:
        hint = "Set `exclude_test_repeats: false`, or take other text."
        raise DataError("every sentence is in a test set too, so that none is left", where=where, hint=hint)
    return kept
