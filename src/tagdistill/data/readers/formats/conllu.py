"""CoNLL-U: syntactic words, whose tag is UPOS, with the surface of multiword tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conllu.exceptions import ParseException
from conllu.parser import parse_comment_line, parse_id_value

from tagdistill.data.readers.format import Format, RawFile
from tagdistill.data.readers.lines import BLANK, Sentence, blocks
from tagdistill.errors import DataError, LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.data.readers.lines import Line

WIDTH = 10
FORM, UPOS = 1, 3
EMPTY_NODES = "empty nodes left out"


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the words of each sentence: ranges are kept as multiword surface, empty nodes (`8.1`) are skipped.

    Ids and comments are read by the conllu library. Its line splitter is not used: it also splits at two spaces, and
    a FORM may hold spaces. `_` is a real token, or a part of a multiword token without a form of its own.
    """
    begun = False
    for block in blocks(file.lines()):
        try:
            sentence = _sentence(block, file)
        except DataError as error:
            file.leave_out(error, block[0][0], advise=begun or not isinstance(error, LayoutError))
            continue
        if sentence.tokens:
            begun = True
            yield sentence


def _sentence(block: list[Line], file: RawFile) -> Sentence:
    tokens: list[str] = []
    tags: list[str] = []
    places: list[int] = []
    ranges: list[tuple[int, int, str]] = []
    source_id = ""
    for number, line in block:
        if line.startswith("#"):
            source_id = dict(parse_comment_line(line)).get("sent_id") or source_id
            continue
        where = f"{file.where}:{number}"
        fields = _fields(line, where)
        first, last = _ids(fields[0], len(tokens), where)
        if last < 0:
            file.note(EMPTY_NODES, number)
        if last > first:
            if ranges and first <= ranges[-1][1]:
                raise DataError(f"range {fields[0]} overlaps the one before", where=where)
            ranges.append((first, last, fields[FORM]))
        elif last == first:
            tokens.append(fields[FORM])
            tags.append(fields[UPOS])
            places.append(number)
    if ranges and ranges[-1][1] > len(tokens):
        raise DataError(f"a range ends at word {ranges[-1][1]} of {len(tokens)}", where=f"{file.where}:{block[-1][0]}")
    multiword = tuple((first - 1, last, form) for first, last, form in ranges)
    return Sentence(tokens, tags if file.tagged else None, places, source_id, multiword)


def _fields(line: str, where: str) -> list[str]:
    fields = line.split("\t")
    if len(fields) > WIDTH and not "".join(fields[WIDTH:]).strip(BLANK):  # TABs at the end of a line are no column
        fields = fields[:WIDTH]
    if len(fields) != WIDTH:
        raise LayoutError(
            f"{len(fields)} columns separated by TAB, CoNLL-U has {WIDTH}",
            where=where,
            hint="Another column layout is `format: conll` with `columns:` and `separator:`.",
        )
    if not fields[FORM]:
        raise DataError("empty FORM", where=where, hint="CoNLL-U writes `_` where there is no form.")
    return fields


def _ids(text: str, words: int, where: str) -> tuple[int, int]:
    """Return first and last word of the line's id; (0, -1) for an empty node. Words must count 1, 2, 3..."""
    try:
        value = parse_id_value(text)
    except (ParseException, ValueError):
        value = None
    if isinstance(value, tuple) and value[1] == ".":
        return 0, -1
    first, last = (value[0], value[2]) if isinstance(value, tuple) else (value or 0, value or 0)
    if first != words + 1:
        raise DataError(
            f"id {text!r} where word {words + 1} should begin",
            where=where,
            hint="Words count from 1 in each sentence; an empty line ends a sentence.",
        )
    return first, last


FORMAT = Format(
    read,
    endings=(".conllu",),
    tasks=("pos",),
    hint="A column file that only looks like CoNLL-U is `format: conll` with `columns:` and `separator: tab`.",
)
