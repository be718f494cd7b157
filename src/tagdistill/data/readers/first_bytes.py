"""What a file is by its first bytes: compressed files are unpacked, and what no reader of text can read is named."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

GZIP = b"\x1f\x8b"
SAMPLE = 4096  # bytes that are looked at
UNPACK = "Unpack it and give the file of sentences; a single file may stay compressed as .gz."
AS_TEXT = "Convert it to text."
# The first bytes, what they belong to, and what to do.
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a .zip archive (or an office document)", UNPACK),
    (b"PK\x05\x06", "an empty .zip archive", UNPACK),
    (GZIP, "compressed as .gz twice", UNPACK),
    (b"BZh", "compressed as .bz2", UNPACK),
    (b"\xfd7zXZ\x00", "compressed as .xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed as .zst", UNPACK),
    (b"\x04\x22\x4d\x18", "compressed as .lz4", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a .7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a .rar archive", UNPACK),
    (b"PAR1", "Parquet", "Set `format: parquet`."),
    (b"ARROW1", "an Arrow file", "Save it as Parquet (`format: parquet`)."),
    (b"SQLite format 3\x00", "a database", AS_TEXT),
    (b"%PDF-", "a PDF", AS_TEXT),
    (b"{\\rtf", "a document in RTF", AS_TEXT),
    (b"\x80\x04\x95", "a Python pickle", "Pickles are not read: save it as Parquet or JSON lines."),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Fetch the file: `git lfs pull`."),
)
UTF_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
MARKUP = re.compile(rb"\s*<(?:\?xml|!doctype|html)\b", re.IGNORECASE)
JSON_START = re.compile(rb'\s*(?:\[\s*)?\{\s*"[^"\n]*"\s*:|\s*\[\s*\[\s*"')
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


@contextmanager
def unpacked(handle: BinaryIO, where: str) -> Iterator[BinaryIO]:
    """Yield the content of a file: unpacked if it is compressed as .gz, else as it is.

    Raises DataError where the compressed file is damaged or cut.
    """
    if peek(handle)[:2] != GZIP:
        yield handle
        return
    try:
        with gzip.GzipFile(fileobj=handle) as content:
            yield cast("BinaryIO", content)
    except DAMAGED as error:
        raise DataError(f"not a whole .gz file: {error}", where=where, hint="Fetch or copy it again.") from error


def peek(handle: BinaryIO) -> bytes:
    """Return the first bytes of an open file without reading past them; of a damaged .gz none."""
    try:
        return bytes(handle.peek(SAMPLE)[:SAMPLE]) if hasattr(handle, "peek") else b""
    except DAMAGED:
        return b""


def refuse_other_content(handle: BinaryIO, where: str, encoding: str, kind: str) -> None:
    """Raise DataError where a file that is to be read as text begins as a file of another kind does."""
    start = peek(handle)
    for first, what, hint in SIGNATURES:
        if start.startswith(first):
            raise DataError(f"this file is {what}, not text of `format: {kind}`", where=where, hint=hint)
    if start[257:262] == b"ustar":
        raise DataError("this file is a .tar archive, not text", where=where, hint=UNPACK)
    _refuse_wide(start, where, encoding)
    if kind in ("jsonl", "semeval_xml"):
        return
    if MARKUP.match(start):
        hint = "XML of SemEval is `format: semeval_xml`; of other XML or HTML take the text out first."
        raise DataError("this file is XML or HTML", where=where, hint=hint)
    if JSON_START.match(start) and (kind != "text" or _holds_json_alone(start)):
        raise DataError("this file is JSON", where=where, hint="Set `format: jsonl`.")


def _refuse_wide(start: bytes, where: str, encoding: str) -> None:
    """Name UTF-16 and UTF-32, with or without a byte order mark, where another encoding is set."""
    if "16" in encoding or "32" in encoding:
        return
    found = "utf-32" if start.startswith(UTF_32) else "utf-16" if start.startswith(UTF_16) else ""
    if not found and len(start) >= 8:  # no byte order mark: every other byte of Latin script is NUL
        even, odd = start[0:64:2], start[1:64:2]
        found = "utf-16-le" if not any(odd) and all(even) else "utf-16-be" if not any(even) and all(odd) else ""
    if found:
        raise DataError(f"this file is in {found}, not {encoding}", where=where, hint=f"Set `encoding: {found}`.")


def _holds_json_alone(start: bytes) -> bool:
    """Return whether every whole line of the sample is a JSON value: plain text may begin with a brace, too."""
    lines = [line for line in start.splitlines() if line.strip()]
    for line in lines[:-1] if len(start) >= SAMPLE and len(lines) > 1 else lines:
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            return False
    return True
