"""Word vectors in fastText's text form (.vec), which teachers may read beside a frozen encoder's.

A word is looked up as it is, then in lower case, then with every digit as `#`, then as `0`; a word that is not there
gets zeros, and is counted. Vectors of parts of words (n-grams) are not made: the published code has none either.
"""

from __future__ import annotations

import codecs
import gzip
import json
import logging
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from tagdistill.artifacts.files import atomic_path, read_json, sha256_file, sha256_json, write_json
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from tagdistill.settings.encoder import Vectors

log = logging.getLogger(__name__)
FORMAT = 1
RECORD, WORDS, ARRAY = "tagdistill.json", "words.json", "vectors.npy"
DIGIT = re.compile(r"\d")
HEAD = re.compile(rb"(\d+) (\d+)\s*\Z")
LICENCE = "CC BY-SA 3.0 (fastText)"


def vectors_key(vectors: Vectors) -> str:
    """Return the name of the folder below `resources/vectors/`: readable, one for each set of vectors."""
    name = vectors.name or Path(str(vectors.path)).name
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
    return f"{slug}-{sha256_json([FORMAT, name, vectors.words, vectors.sha256])[:8]}"


def convert_vectors(vectors: Vectors, out: Path, source: Path) -> None:
    """Write the first `words` vectors of a .vec file (packed or not) as the folder `out`, complete or not at all.

    Raises DataError with file and line for what is no such file, MismatchError where its checksum is not the config's.
    """
    if vectors.sha256 and (found := sha256_file(source)) != vectors.sha256:
        raise MismatchError(f"the SHA-256 is {found}, but should be {vectors.sha256}", where=str(source))
    words, rows = _read(source, vectors.words)
    with atomic_path(out) as folder:
        folder.mkdir()
        np.save(folder / ARRAY, rows, allow_pickle=False)
        (folder / WORDS).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
        record = {"format": FORMAT, "key": vectors_key(vectors), "words": len(words), "dim": rows.shape[1]}
        write_json(folder / RECORD, record | ({"licence": LICENCE} if vectors.name else {}))
    log.info("%s: %d words, %d dimensions", out, *rows.shape)


def _read(source: Path, most: int) -> tuple[list[str], NDArray[np.float16]]:
    found: dict[str, int] = {}
    rows: list[NDArray[np.float16]] = []
    dim = 0
    for number, line in _lines(source):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if number == 1 and (head := HEAD.match(line)):
            dim = int(head[2])
            continue
        if len(rows) == most:
            break
        # Only the last numbers are the vector: a word may hold any character but a line end.
        word, *values = line.rstrip(b" \r\n").rsplit(b" ", dim) if dim else line.split()
        dim = dim or len(values)
        text = word.decode("utf-8", "replace")
        if text in found:  # what fastText's own reader does: the first one counts
            continue
        found[text] = len(rows)
        rows.append(_vector(values, dim, f"{source}:{number}"))
    if not rows:
        raise DataError("no vectors in this file", where=str(source), hint="A line is a word and its numbers.")
    return list(found), np.stack(rows)


def _vector(values: list[bytes], dim: int, where: str) -> NDArray[np.float16]:
    try:
        with np.errstate(over="ignore"):
            row = np.array(values, dtype=np.bytes_).astype(np.float32).astype(np.float16)
    except ValueError as error:
        raise DataError(f"not a number: {error}", where=where, hint="A line is a word and its numbers.") from error
    if len(row) != dim or not dim:
        raise DataError(f"{len(row)} numbers, needed are {dim}", where=where, hint="The file may be cut off.")
    if not np.isfinite(row).all():
        raise DataError("a number that is not finite in float16", where=where)
    return row


def _lines(source: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with cast("IO[bytes]", gzip.open(source) if source.suffix == ".gz" else source.open("rb")) as file:
            yield from enumerate(file, 1)
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(source), hint="Relative paths start at `root:`.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", where=str(source)) from error


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
        record: dict[str, Any] = read_json(folder / RECORD)
        if record.get("format") != FORMAT:
            raise MismatchError(f"format {record.get('format')}, this version reads {FORMAT}", where=str(folder))
        words = read_json(folder / WORDS)
        rows = np.load(folder / ARRAY, mmap_mode="r", allow_pickle=False)
        return cls(rows, {word: place for place, word in enumerate(words)}, record["key"])

    @property
    def dim(self) -> int:
        return int(self.rows.shape[1])

    def __call__(self, words: Iterable[str]) -> NDArray[np.float16]:
        """Return the vectors [words, dim] of words in their order, zeros where there is none."""
        places = np.array([self._place(word) for word in words], dtype=np.int64)
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


def fetch_vectors(name: str, folder: Path) -> Path:
    """Return one of fastText's own files, downloaded below `folder` unless it is there."""
    from tagdistill.data.archives import extract
    from tagdistill.data.sources.catalogue import fasttext_file
    from tagdistill.data.sources.fetch import obtain

    remote, member = fasttext_file(name)
    packed = obtain(remote, folder)
    if not member:
        return packed
    out = packed.with_suffix("")
    extract(packed, member, out, limit=16 << 30)
    return out
