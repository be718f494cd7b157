"""Columns, one token per line: the token is the first and the tag the last, unless `columns:` says so.

An empty line ends a sentence. TAB or spaces separate the columns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from tagdistill.data.readers.format import Format, RawFile
from tagdistill.data.readers.lines import Sentence, blocks
from tagdistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.data.readers.lines import Line
    from tagdistill.settings.language import Language

DOCSTART = re.compile(r"-DOCSTART-(?:[ \t]|\Z)")
SPACES = re.compile(" +")


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the sentences of a column file; without `tagged` the tag column is not looked at.

    Every line must have as many columns as the first. `-DOCSTART-` lines are dropped, also inside a sentence, where
    CoNLL-2002 nl has them. `# O` is a token unless `comment` says otherwise.
    """
    layout = _Layout(file)
    for block in blocks(file.lines()):
        if (sentence := layout.sentence(block)).tokens:
            yield sentence


class _Layout:
    """The columns of one file: how many there are is what its first line says."""

    def __init__(self, file: RawFile) -> None:
        self.file, self.settings = file, file.settings
        self.token, self.tag = _position(self.settings, "token", 0), _position(self.settings, "tag", -1)
        self.width = 0

    def sentence(self, block: list[Line]) -> Sentence:
        """Return the sentence of a block of lines; it has no token where all of them are left out."""
        tokens: list[str] = []
        tags: list[str] = []
        places: list[int] = []
        for number, line in block:
            if (fields := self._fields(line, f"{self.file.where}:{number}")) is None:
                continue
            tokens.append(fields[self.token])
            places.append(number)
            if self.file.tagged:
                tags.append(fields[self.tag])
        return Sentence(tokens, tags if self.file.tagged else None, places)

    def _fields(self, line: str, where: str) -> list[str] | None:
        """Return the columns of a line, or None for one that is left out."""
        if DOCSTART.match(line):
            self.file.notes["docstart"] += 1
            return None
        if self.settings.comment and line.startswith(self.settings.comment):
            return None
        # Nothing else separates columns: some files hold a TAB inside a token and spaces as the separator.
        fields = line.split("\t") if self.settings.separator == "tab" else SPACES.split(line.rstrip(" "))
        wanted = (self.token, self.tag) if self.file.tagged else (self.token,)
        self.width = self.width or _width(fields, wanted, where, self.settings.separator)
        if len(fields) != self.width:
            raise _uneven(fields, self.width, where, self.settings.separator)
        if fields[self.token] == "-DOCSTART-":
            self.file.notes["docstart"] += 1
            return None
        check_token(fields[self.token], where)
        return fields


def _position(settings: Language, key: Literal["token", "tag"], usual: int) -> int:
    found = settings.columns.get(key, usual)
    if isinstance(found, str):
        hint = "Columns of `conll` are counted from 0; names are for `format: parquet`."
        raise ConfigError(f"{found!r} is not a number", where=f"columns.{key}", hint=hint)
    return found


def _width(fields: list[str], wanted: tuple[int, ...], where: str, separator: str) -> int:
    """Check that the first line has the columns that are asked for; two columns may not be one and the same."""
    count = len(fields)
    outside = [column for column in wanted if not -count <= column < count]
    if outside:
        raise DataError(
            f"no column {outside[0]}: the line has {_columns(count)}, separated by {separator}",
            where=where,
            hint="Columns count from 0, or from -1 at the end. Check `columns:` and `separator:` (tab or space).",
        )
    if len({column % count for column in wanted}) < len(wanted):
        raise DataError(
            f"token and tag are the same column: the line has {_columns(count)}, separated by {separator}",
            where=where,
            hint="Check `columns:` and `separator:` (tab or space); a text without tags has `format: text`.",
        )
    return count


def _uneven(fields: list[str], width: int, where: str, separator: str) -> DataError:
    return DataError(
        f"{_columns(len(fields))} where the first line has {width}, separated by {separator}",
        where=where,
        hint="Repair the line, or set `separator:` (tab or space); `comment:` leaves out lines that start with it.",
    )


def _columns(count: int) -> str:
    return f"{count} column" + "s" * (count != 1)


def check_token(token: str, where: str) -> None:
    """Refuse an empty token."""
    if not token:
        raise DataError("empty token", where=where, hint="Repair the line, or check `columns:` and `separator:`.")


FORMAT = Format(read, endings=(".conll", ".tsv", ".bio", ".iob"), separated=True)
