"""The columns of a file, judged by its first lines: what separates them, and how many there are."""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from tagdistill.data.readers.lines import BLANK, comment_hint
from tagdistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.data.readers.lines import Line
    from tagdistill.settings.language import Language

DOCSTART = "-DOCSTART-"
COMMENT_SIGNS = ("#", "%", "//")  # lines that begin so have no say in the number of columns
BORDER = re.compile(rf"(?:\A|[ \t]){DOCSTART}(?:[ \t(]|\Z)")
SPACES = re.compile(" +")
SAMPLE_LINES = 200
MAX_LINE = 10_000  # characters that are looked at for commas
NAMES_OF_COLUMNS = frozenset(
    [
        "token",
        "tokens",
        "word",
        "words",
        "form",
        "text",
        "tag",
        "tags",
        "label",
        "labels",
        "ner",
        "ner_tag",
        "ne-coarse-lit",
        "bio",
        "iob",
        "pos",
        "upos",
        "lemma",
    ]
) | {"sentence", "sentence #"}


class Columns(NamedTuple):
    """Where the token and the tag stand, and how many columns a line may have."""

    separator: Literal["tab", "space"]
    token: int  # from 0
    tag: int  # from 0; where tags are not read, the last column, or the token's if it has no other
    least: int
    most: int  # above `least` where the last columns are empty in some lines
    header: int  # the line that looks like a header, 0 if none does
    table: str  # commas or semicolons, if the first lines look separated by them

    @property
    def sign(self) -> str:
        """The character between columns."""
        return "\t" if self.separator == "tab" else " "

    def fields(self, line: str) -> list[str]:
        """Return the columns of a line. Nothing else separates them: a TAB may stand inside a token between spaces."""
        return line.split("\t") if self.separator == "tab" else SPACES.split(line)

    def width(self, line: str) -> int:
        """Return the most columns that a line may be said to have: with those that are empty at its end."""
        return _range(line, self.separator)[-1]

    def wrong_number(self, line: str, where: str) -> DataError:
        """Return the error for a line that has another number of columns than the first lines."""
        found = _range(line, self.separator)[0]
        what = f"{_columns(found)} where the first lines have {self.least}, separated by {self.separator}"
        hint = "Repair the line, or set `separator:` (auto, tab or space)."
        return DataError(what, where=where, hint=" ".join(filter(None, (comment_hint(line), hint, self.advice()))))

    def advice(self) -> str:
        """Return what to do where the first line is hardly one of a token."""
        found = []
        if self.table:
            recipe = "docs/guide/formats.md has a recipe that writes TABs"
            found.append(f"Columns between {self.table} are not read: {recipe}.")
        if self.header:
            found.append(f"Line {self.header} looks like a header: `skip_lines: {self.header}` leaves it out.")
        return " ".join(found)


def judge(sample: Sequence[Line], settings: Language, *, tagged: bool, where: str) -> Columns | None:
    """Return the columns of a file by its first lines; None where none of them holds a token.

    Raises DataError, with the line, where a column that is asked for is not there.
    """
    asked = (_position(settings, "token", 0), _position(settings, "tag", -1))[: 2 if tagged else 1]
    lines = [(number, line) for number, line in sample if _may_be_token(line, settings.comment)]
    lines = [pair for pair in lines if not pair[1].startswith(COMMENT_SIGNS)] or lines
    if not lines:
        return None
    separator = settings.separator if settings.separator != "auto" else _separator([line for _, line in lines])
    least, most = _width([line for _, line in lines], separator, fixed=min(asked) < 0)
    first = next(pair for pair in lines if least in _range(pair[1], separator))
    header = _header(lines[0], separator)
    found = Columns(separator, 0, 0, least, most, header, table=_table([line for _, line in lines]))
    _check_asked(asked, found, first, where)
    places = [column % least for column in asked]
    return found._replace(token=places[0], tag=places[1] if tagged else least - 1)


def _may_be_token(line: str, comment: str | None) -> bool:
    if not line.strip(BLANK) or BORDER.search(line):
        return False
    return not (comment and line.startswith(comment))


def _separator(lines: Sequence[str]) -> Literal["tab", "space"]:
    """Return TABs where every line has one, apart from its end, else spaces."""
    return "tab" if all("\t" in line.rstrip(BLANK) for line in lines) else "space"


def _range(line: str, separator: str) -> range:
    """Return the numbers of columns that a line may be said to have: blanks and TABs at its end may be none."""
    bare = line.rstrip(BLANK)
    if separator == "tab":
        return range(bare.count("\t") + 1, line.count("\t") + 2)
    found = len(SPACES.split(bare))
    return range(found, found + 1)


def _width(lines: Sequence[str], separator: str, *, fixed: bool) -> tuple[int, int]:
    """Return the least and most columns that most lines agree on; one number where columns count from the end."""
    votes: Counter[int] = Counter()
    for line in lines:
        votes.update(_range(line, separator))
    best = max(votes.values())
    least = min(width for width, count in votes.items() if count == best)
    most = least
    while not fixed and votes[most + 1] == best:
        most += 1
    return least, most


def _header(line: Line, separator: str) -> int:
    """Return the number of a line that names columns, else 0."""
    parts = re.split(r"[\t,;]" if separator == "tab" or "," in line[1] else r"[ ,;]+", line[1].strip())
    named = sum(part.strip(" \"'").casefold() in NAMES_OF_COLUMNS for part in parts)
    return line[0] if named >= min(2, len(parts)) and line[0] < SAMPLE_LINES else 0


def _table(lines: Sequence[str]) -> str:
    """Return whether commas or semicolons separate columns: each line has as many outside of quotes, and no TAB."""
    if any("\t" in line for line in lines):
        return ""
    for sign, name in ((",", "commas"), (";", "semicolons")):
        widths = {_cells(line[:MAX_LINE], sign) for line in lines}
        if len(widths) == 1 and min(widths) > 1:
            return name
    return ""


def _cells(line: str, sign: str) -> int:
    """Return how many cells a line has between commas, or another sign, outside of quotes."""
    try:
        return len(next(csv.reader([line], delimiter=sign)))
    except csv.Error:  # a carriage return inside the line
        return 0


def _position(settings: Language, key: Literal["token", "tag"], usual: int) -> int:
    found = settings.columns.get(key, usual)
    if isinstance(found, str):
        hint = "Columns of `conll` are counted from 0; names are for `format: parquet` and `jsonl`."
        raise ConfigError(f"{found!r} is not a number", where=f"columns.{key}", hint=hint)
    return found


def _check_asked(asked: tuple[int, ...], found: Columns, line: Line, where: str) -> None:
    """Check that a line has the columns that are asked for; two columns may not be one and the same."""
    width = found.least
    outside = [column for column in asked if not -width <= column < width]
    place, hints = f"{where}:{line[0]}", [comment_hint(line[1])]
    if outside:
        what = f"no column {outside[0]}: the line has {_columns(width)}, separated by {found.separator}"
        hints.append(
            "Columns count from 0, or from -1 at the end. Check `columns:` and `separator:` (auto, tab or space)."
        )
    elif len({column % width for column in asked}) < len(asked):
        what = f"token and tag are the same column: the line has {_columns(width)}, separated by {found.separator}"
        hints.append("Check `columns:` and `separator:` (auto, tab or space); a text without tags has `format: text`.")
    else:
        return
    raise DataError(what, where=place, hint=" ".join(filter(None, (*hints, found.advice()))))


def _columns(count: int) -> str:
    return f"{count} column" + "s" * (count != 1)
