"""Columns, one token per line: the token is the first and the tag the last, unless `columns:` says otherwise.

An empty line ends a sentence. TAB or spaces separate the columns.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING

from tagdistill.data.readers.columns import DOCSTART, SAMPLE_LINES, Columns, judge
from tagdistill.data.readers.format import Format, RawFile
from tagdistill.data.readers.lines import BLANK, Sentence, comment_hint
from tagdistill.data.readers.notes import COMMENTS, DOCUMENT_BORDERS, TABS_IN_TOKENS
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tagdistill.data.readers.lines import Line

BORDER = re.compile(rf"{DOCSTART}(?:[ \t(]|\Z)")
TAG_OF_SPANS = re.compile(r"O|[BIESLUMW](?:-\S+)?")


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the sentences of a column file; without `tagged` the tag column is not looked at.

    Every line must have as many columns as the first lines; blanks and TABs at its end are none. A `-DOCSTART-` line is
    the border of two documents, and so of two sentences. With `comment`, a line that begins so is left out if it has
    not the file's columns, or stands before the first token of a sentence and has no tag; else it is a token.
    """
    lines = file.lines()
    sample: list[Line] = []
    columns = None
    while columns is None and (more := list(islice(lines, SAMPLE_LINES))):  # a long head may hold no token
        sample += more
        columns = judge(more, file.settings, tagged=file.tagged, where=file.where)
    if columns is not None:
        yield from _Reader(file, columns, sample).sentences(chain(sample, lines))


class _Reader:
    """Puts the lines of one file together to sentences."""

    def __init__(self, file: RawFile, columns: Columns, sample: list[Line]) -> None:
        self.file, self.columns = file, columns
        self.comment = file.settings.comment
        self.known_tags = self._tags_in(sample) if self.comment else frozenset()

    def sentences(self, lines: Iterable[Line]) -> Iterator[Sentence]:
        """Yield the sentences between empty lines and borders of documents."""
        token, width = self.columns.token, self.columns.least
        tag = self.columns.tag if self.file.tagged else token
        sign, comment, spaced = self.columns.sign, self.comment, self.columns.separator == "space"
        words, tags, places, whole = _nothing()
        for number, line in lines:
            text = line.rstrip(BLANK)
            if not text or (DOCSTART in text and self._is_border(number, text)):
                if words and whole:
                    yield Sentence(words, tags if self.file.tagged else None, places)
                if words or not whole:
                    words, tags, places, whole = _nothing()
                continue
            fields = text.split(sign)
            odd = len(fields) != width or (comment and text.startswith(comment)) or (spaced and "  " in text)
            if odd or not fields[token].strip(BLANK) or not fields[tag]:
                try:
                    found = self._odd_line(number, line, begun=bool(words)) if whole else None
                except DataError as error:
                    self.file.leave_out(error, number, advise=not (comment_hint(text) or self.columns.advice()))
                    whole = False
                    continue
                if found is None:
                    continue
                fields = found
            if spaced and "\t" in fields[token]:
                self.file.note(TABS_IN_TOKENS, number, repr(fields[token]))
            words.append(fields[token])
            tags.append(fields[tag])
            places.append(number)
        if words and whole:
            yield Sentence(words, tags if self.file.tagged else None, places)

    def _is_border(self, number: int, text: str) -> bool:
        """Note a -DOCSTART- line, whatever columns it has."""
        fields = self.columns.fields(text)
        first = fields[self.columns.token] if self.columns.token < len(fields) else ""
        border = bool(BORDER.match(text)) or first == DOCSTART
        if border:
            self.file.note(DOCUMENT_BORDERS, number)
        return border

    def _odd_line(self, number: int, line: str, *, begun: bool) -> list[str] | None:
        """Return the columns of a line that needs a second look, or None for a comment.

        `begun`: whether the sentence has a token already. Raises DataError for a line that is broken.
        """
        text, where = line.rstrip(BLANK), f"{self.file.where}:{number}"
        fields = self.columns.fields(text)
        as_wide = len(fields) <= self.columns.most and self.columns.width(line) >= self.columns.least
        if self.comment and text.startswith(self.comment):
            token = as_wide and (begun or self._is_tag(fields[self.columns.tag : self.columns.tag + 1]))
            if not token:
                self.file.note(COMMENTS, number, text)
                return None
        if not as_wide:
            raise self.columns.wrong_number(text, where)
        fields += [""] * (self.columns.least - len(fields))
        check_cell("token", fields[self.columns.token], where)
        if self.file.tagged:
            check_cell("tag", fields[self.columns.tag], where)
        return fields

    def _is_tag(self, cells: list[str]) -> bool:
        """Return whether the tag's cell of a line holds a tag: then it is a token, though it begins as comments do."""
        tagged = self.file.tagged or self.columns.tag != self.columns.token
        return tagged and any(cell in self.known_tags or TAG_OF_SPANS.fullmatch(cell) for cell in cells)

    def _tags_in(self, sample: list[Line]) -> frozenset[str]:
        """Return the tags of the first lines that do not begin as comments do."""
        lines = [line for _, line in sample if not line.startswith(self.comment or "")]
        rows = [self.columns.fields(line.rstrip(BLANK)) for line in lines]
        return frozenset(row[self.columns.tag] for row in rows if len(row) == self.columns.least)


def _nothing() -> tuple[list[str], list[str], list[int], bool]:
    """Return the tokens, tags and lines of a sentence that has not begun, and that it is whole."""
    return [], [], [], True


def check_cell(what: str, cell: str, where: str) -> None:
    """Refuse an empty token or tag, or one of blanks alone; a no-break space is a token."""
    if not cell.strip(BLANK):
        raise DataError(f"empty {what}", where=where, hint="Repair the line, or check `columns:` and `separator:`.")


FORMAT = Format(read, endings=(".conll", ".tsv", ".bio", ".iob"))
