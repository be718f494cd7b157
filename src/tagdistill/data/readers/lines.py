"""Lines of text files: decoded as asked, numbered, and grouped into blocks of lines that belong to one sentence."""

from __future__ import annotations

import codecs
import sys
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tagdistill.artifacts.streams import STANDARD
from tagdistill.errors import ConfigError, DataError, nearest_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tagdistill.settings.names import Scheme

Line = tuple[int, str]  # number from 1, text without the line end
CHUNK = 1 << 16  # bytes
MIN_UTF_8 = 8  # characters outside ASCII: some pairs of bytes are well-formed UTF-8 in other encodings, too
BLANK = " \t\r"  # no `str.strip()`: a no-break or ideographic space is a character, not an empty line


class Sentence(NamedTuple):
    """One sentence as its file has it, tags not yet converted."""

    tokens: list[str]
    tags: list[str] | None
    lines: Sequence[int]  # of each token, from 1; empty where the format has no lines
    source_id: str = ""
    multiword: tuple[tuple[int, int, str], ...] = ()  # start, end (exclusive), surface
    number: int = 0  # from 1, in the file
    scheme: Scheme | None = None  # of its tags; None: as `scheme:` says

    @property
    def line(self) -> int:
        """The line of the first token, 0 if the format has none."""
        return self.lines[0] if self.lines else 0

    def where(self, name: str, position: int = 0) -> str:
        """Return the place of a token for an error message."""
        return f"{name}:{self.lines[position]}" if self.lines else f"{name}: sentence {self.number}"


def compact(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return sentences that take less memory: equal words are one string, and line numbers are in arrays."""
    known: dict[str, str] = {}

    def shared(words: list[str]) -> list[str]:
        return [known.setdefault(word, word) for word in words]

    def smaller(sentence: Sentence) -> Sentence:
        tokens, tags, lines, source_id, multiword, number, scheme = sentence  # `_replace` takes three times as long
        numbers = array("q", lines) if lines else lines
        return Sentence(shared(tokens), tags and shared(tags), numbers, source_id, multiword, number, scheme)

    return [smaller(sentence) for sentence in sentences]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, or stdin for `-`, or say in one line why not."""
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        with path.open("rb") as handle:
            yield handle
    except FileNotFoundError as error:
        hint = f"{nearest_file(path)} Relative paths start at `root:`.".lstrip()
        raise DataError("no such file", where=str(path), hint=hint) from error
    except IsADirectoryError as error:
        raise folder_error(path) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def folder_error(path: Path) -> DataError:
    """Return the error for a folder where a file is needed."""
    return DataError("this is a folder, a file is needed", where=str(path), hint="Name one of the files in it.")


def decoded(handle: BinaryIO, name: str, encoding: str) -> Iterator[tuple[list[str], bool]]:
    """Yield parts of a file as lines, and whether one of them may hold what `plain_line` has to look at.

    Only LF (or CR LF) ends a line: U+2028 and the like may stand inside a token.
    """
    try:
        "a".encode(encoding)  # refuses codecs that are not for text, too
        decoder = codecs.getincrementaldecoder(encoding)()
    except (LookupError, ValueError) as error:
        raise ConfigError(f"no text encoding {encoding!r}", where="encoding", hint="Such as utf-8, latin-1.") from error
    begun: list[str] = []  # parts of a line that has not ended
    number, size, more = 1, 0, True  # of the line that has begun; bytes that were read
    disguised = _Utf8In(encoding)
    while more:
        data = handle.read(CHUNK)
        size += len(data)
        more = bool(data)
        if disguised.found(data):
            hint = f"Leave out `encoding:`; convert the files that are in {encoding}, if any, to utf-8."
            raise DataError(f"this file is in utf-8, not {encoding}", where=name, hint=hint)
        try:
            begun.append(decoder.decode(data, final=not more))
        except UnicodeError as error:
            raise _undecodable(error, name, encoding, line=number, size=size) from error
        if more and "\n" not in begun[-1]:
            continue
        text = "".join(begun)
        *lines, rest = text.split("\n")
        if not more and rest:
            lines.append(rest)
        begun = [rest]
        number += len(lines)
        yield lines, "\r" in text or "\ufeff" in text or "\0" in text


class _Utf8In:
    """Whether a file is in UTF-8 where another encoding is set: one of single bytes would read wrong words."""

    def __init__(self, encoding: str) -> None:
        utf_8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
        self.decoder = None if utf_8 else codecs.getincrementaldecoder("utf-8")()
        self.others = 0  # characters outside ASCII so far, none of which is malformed

    def found(self, data: bytes) -> bool:
        """Look at the next bytes: text of some languages is ASCII for many pages."""
        if self.decoder is None:
            return False
        try:
            text = self.decoder.decode(data)
        except UnicodeDecodeError:
            self.decoder = None
            return False
        self.others += 0 if text.isascii() else sum(not character.isascii() for character in text)
        return self.others >= MIN_UTF_8 or data.startswith(codecs.BOM_UTF8)


def plain_line(number: int, line: str, name: str) -> str:
    """Return a line without the CR at its end and without byte order marks, which joined files hold, at its start.

    Raises DataError for a whole file that would pass for one line.
    """
    text = line.rstrip("\r")
    if number == 1 and "\r" in text:
        hint = "Lines end with LF or CR LF: convert it, such as with `tr '\\r' '\\n'`."
        raise DataError("lines end with CR alone", where=f"{name}:1", hint=hint)
    return text.lstrip("\ufeff")


def _undecodable(error: UnicodeError, name: str, encoding: str, *, line: int, size: int) -> DataError:
    """Return the error for the last part of `size` bytes, whose first line is `line`: it says which byte is wrong."""
    what, where = f"not {encoding}: {getattr(error, 'reason', error)}", name
    if isinstance(error, UnicodeDecodeError):
        before = error.object[: error.start]
        what += f" (byte {size - len(error.object) + error.start + 1:,})"
        where = f"{name}:{line + before.decode(error.encoding, 'replace').count(chr(10))}"
    hint = "Set `encoding:` to what the file is in, such as `encoding: latin-1`."
    return DataError(what, where=where, hint=hint)


def lone_surrogate(text: str) -> int | None:
    """Return where a text has a lone surrogate, which is half of a character: no encoding has it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield runs of lines between empty lines."""
    block: list[Line] = []
    for line in lines:
        if line[1].strip(BLANK):
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def comment_hint(line: str) -> str:
    """Return what to do where a line, or a token, begins as comments do; nothing for any other."""
    sign = next((sign for sign in ("#", "%", "//") if line.startswith(sign)), "")
    return f"If lines that begin with {sign} are comments, `comment: '{sign}'` leaves them out." if sign else ""
