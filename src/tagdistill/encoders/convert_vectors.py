"""Convert word vectors in fastText's text form (.vec): a user's file, or one of fastText's own, which is fetched."""

from __future__ import annotations

import codecs
import gzip
import json
import logging
import re
import zlib
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from tagdistill.artifacts.files import atomic_path, sha256_file, write_json
from tagdistill.data.sources.remote import Host, Remote, check_zip
from tagdistill.encoders.vectors import ARRAY, FORMAT, RECORD, WORDS, vectors_key
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.settings.encoder import Vectors

log = logging.getLogger(__name__)
HEAD = re.compile(rb"(\d+) (\d+)\s*\Z")
FASTTEXT = Host("fasttext", "https://dl.fbaipublicfiles.com/fasttext")
LICENCE = "CC BY-SA 3.0 (fastText)"
MAX_BYTES = 16 << 30  # of the largest file, unpacked


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


def fetch_vectors(name: str, folder: Path) -> Path:
    """Return one of fastText's own files, downloaded below `folder` unless it is there."""
    from tagdistill.data.sources.download_folder import DownloadFolder

    downloads = DownloadFolder(folder)
    if name == "wiki-news-300d-1M":
        packed = Remote(FASTTEXT, f"fasttext/{name}.vec.zip", (f"vectors-english/{name}.vec.zip",), "zip", check_zip)
        return downloads.extract(packed, f"{name}.vec", f"fasttext/{name}.vec", limit=MAX_BYTES)
    place, ending = ("vectors-crawl", "vec.gz") if name.startswith("cc.") else ("vectors-wiki", "vec")
    file = f"{name}.{ending}"
    return downloads.obtain(Remote(FASTTEXT, f"fasttext/{file}", (f"{place}/{file}",), ending, _check_no_page))


def _check_no_page(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(64).lstrip()[:1] in (b"<", b""):
            raise DataError("a page of HTML, or nothing")
