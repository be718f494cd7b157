"""Column formats: one token a line, columns parted by TAB or space, an empty line between sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from tagdistill.data.readers.lines import Line, Sentence, blocks
from tagdistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from tagdistill.settings.language import Language

DOCSTART = re.compile(r"-DOCSTART-(?:[ \t]|\Z)")
SPACES = re.compile(" +")


def read_conll(
    lines: Iterable[Line], name: str, settings: Language, tagged: bool, notes: Counter[str]
) -> Iterator[Sentence]:
    """Yield the sentences of a column file; without `tagged` the tag column is not looked at.

    Every line must have as many columns as the first. `-DOCSTART-` lines are dropped, also inside a sentence, where
    CoNLL-2002 nl has them. `# O` is a token unless `comment` says otherwise.
    """
    tab, comment = settings.separator == "tab", settings.comment
    token, tag = _position(settings, "token", 0), _position(settings, "tag", -1)
    width = 0
    for block in blocks(lines):
        tokens, tags, places = [], [], []
        for number, line in block:
            if DOCSTART.match(line):
                notes["docstart"] += 1
                continue
            if comment and line.startswith(comment):
                continue
            # Only the separator parts columns: some files hold a TAB inside a token and spaces as the separator.
            fields = line.split("\t") if tab else SPACES.split(line.rstrip(" "))
            where = f"{name}:{number}"
            width = width or _width(fields, (token, tag) if tagged else (token,), where, settings.separator)
            if len(fields) != width:
                raise _uneven(fields, width, where, settings.separator)
            if fields[token] == "-DOCSTART-":
                notes["docstart"] += 1
                continue
            tokens.append(_token(fields[token], where))
            places.append(number)
            if tagged:
                tags.append(fields[tag])
        if tokens:
            yield Sentence(tokens, tags if tagged else None, places)


def read_wikiann(
    lines: Iterable[Line], name: str, settings: Language, tagged: bool, notes: Counter[str]
) -> Iterator[Sentence]:
    """Yield the sentences of an original WikiAnn file: `lang:token<TAB>tag`, where `fa::` is the token `:`."""
    layout = settings.model_copy(update={"separator": "tab", "columns": {"token": 0, "tag": -1}, "comment": None})
    for sentence in read_conll(lines, name, layout, tagged, notes):
        tokens = [_after_prefix(token, sentence.where(name, i)) for i, token in enumerate(sentence.tokens)]
        yield sentence._replace(tokens=tokens)


def read_text(
    lines: Iterable[Line], name: str, settings: Language, tagged: bool, notes: Counter[str]
) -> Iterator[Sentence]:
    """Yield a sentence a line, tokens parted by white space; empty lines are passed over."""
    for number, line in lines:
        if tokens := line.split():
            yield Sentence(tokens, None, [number] * len(tokens))


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
            f"no column {outside[0]}: the line has {_columns(count)}, parted by {separator}",
            where=where,
            hint="Columns count from 0, or from -1 at the end. Check `columns:` and `separator:` (tab or space).",
        )
    if len({column % count for column in wanted}) < len(wanted):
        raise DataError(
            f"token and tag are the same column: the line has {_columns(count)}, parted by {separator}",
            where=where,
            hint="Check `columns:` and `separator:` (tab or space); a text without tags has `format: text`.",
        )
    return count


def _uneven(fields: list[str], width: int, where: str, separator: str) -> DataError:
    return DataError(
        f"{_columns(len(fields))} where the first line has {width}, parted by {separator}",
        where=where,
        hint="Repair the line, or set `separator:` (tab or space); `comment:` leaves out lines that start with it.",
    )


def _columns(count: int) -> str:
    return f"{count} column" + "s" * (count != 1)


def _token(text: str, where: str) -> str:
    if not text:
        raise DataError("empty token", where=where, hint="Repair the line, or check `columns:` and `separator:`.")
    return text


def _after_prefix(text: str, where: str) -> str:
    prefix, colon, token = text.partition(":")
    if not prefix or not colon:
        raise DataError(
            f"{text!r} has no language prefix such as `fa:`",
            where=where,
            hint="WikiAnn without prefixes (as in XTREME) is `format: conll` with `separator: tab`.",
        )
    return _token(token, where)
