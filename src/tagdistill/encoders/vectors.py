"""Converted word vectors, which teachers may read beside a frozen encoder's.

A word is looked up as it is, then in lower case, then with every digit as `#`, then as `0`; a word that is not there
gets zeros, and is counted. Vectors of parts of words (n-grams) are not made: the published code has none either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.artifacts.files import check_kind, read_json, sha256_json
from tagdistill.artifacts.stored_file import stored
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tagdistill.settings.encoder import Vectors

FORMAT = 1
VECTORS = "converted word vectors"
RECORD, WORDS, ARRAY = "tagdistill.json", "words.json", "vectors.npy"
DIGIT = re.compile(r"\d")


def vectors_key(vectors: Vectors) -> str:
    """Return the name of the folder below `resources/vectors/`: readable, one for each set of vectors."""
    local = "" if vectors.sha256 else Path(str(vectors.path)).name  # a file is known by its checksum, not by its name
    name = vectors.name or local
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name or "path").strip("-").lower()
    return f"{slug}-{sha256_json([FORMAT, name, vectors.words, vectors.sha256])[:8]}"


@dataclass
class WordVectors:
    """Vectors in a folder; `missing` counts the words, and `looked_up` all words, of every lookup so far."""

    rows: NDArray[np.float16]  # [words, dim], mapped
    places: dict[str, int]
    key: str
    missing: int = 0
    looked_up: int = field(default=0)

    @classmethod
    def open(cls, folder: Path) -> WordVectors:
        """Open a converted folder. Raises DataError where it is none, MismatchError for another version's."""
        if not (folder / RECORD).is_file():
            hint = "Make it with `tagdistill convert-vectors`."
            raise DataError("not converted word vectors: their record is missing", where=str(folder), hint=hint)
        with stored(folder / RECORD, VECTORS):
            record: dict[str, Any] = check_kind(
                {"kind": VECTORS, **read_json(folder / RECORD)}, VECTORS, FORMAT, folder
            )
            key = str(record["key"])
        with stored(folder / WORDS, VECTORS):
            places = {str(word): place for place, word in enumerate(read_json(folder / WORDS))}
        with stored(folder / ARRAY, VECTORS):
            rows = np.load(folder / ARRAY, mmap_mode="r", allow_pickle=False)
            if rows.ndim != 2 or len(rows) != len(places):
                raise ValueError(f"vectors of shape {rows.shape} for {len(places)} words")
        return cls(rows, places, key)

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.rows.shape[1])

    def __call__(self, words: Iterable[str]) -> NDArray[np.float16]:
        """Return the vectors [words, dim] of words in their order, zeros where there is none."""
        places = np.fromiter(map(self._place, words), np.int64)
        found = np.zeros((len(places), self.dim), np.float16)
        known = places >= 0
        found[known] = self.rows[places[known]]
        self.missing += int((~known).sum())
        self.looked_up += len(places)
        return found

    def _place(self, word: str) -> int:
        lower = word.lower()
        for form in (word, lower, DIGIT.sub("#", lower), DIGIT.sub("0", lower)):
            if (place := self.places.get(form)) is not None:
                return place
        return -1
