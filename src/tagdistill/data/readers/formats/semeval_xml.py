"""XML of SemEval-2016 task 5, subtask 1: reviews, with opinion targets given by character offsets.

Words are runs of letters, digits and the combining marks of Latin, Hebrew and Arabic scripts, joined by an apostrophe
or hyphen between two of them (`don't`, `take-away`); every other character that is not white space is a word of its
own. The published files are not tokenised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.parsers import expat

from tagdistill.data.readers.format import Format, RawFile
from tagdistill.data.readers.lines import Sentence
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

TARGET = "TARGET"
NULL = "NULL"
WORD = re.compile(r"\w[\w\u0300-\u036f\u0591-\u05c7\u064b-\u0652]*(?:['’\-]\w[\w\u0300-\u036f]*)*|\S")
CHUNK = 1 << 16


@dataclass
class _Element:
    """One <sentence> as it is read."""

    source_id: str
    line: int
    out_of_scope: bool
    text: str = ""
    opinions: list[tuple[str, str, str, int]] = field(default_factory=list)  # target, from, to, line


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the sentences; opinion targets become IOB2 spans of the type TARGET.

    `notes` counts what is no span or cannot be one: NULL targets, targets that are given twice, offsets that do not
    give the target's text, targets that begin or end inside a word, targets that overlap an earlier one. None of them
    is moved to where it might belong. Sentences without text are left out and counted. Raises DataError for a file that
    is no such XML; document type declarations are refused, since entities can be made to grow without end.
    """
    name, notes = file.where, file.notes
    found, empty = 0, 0
    for element in _Reader(name).read(file.handle):
        found += 1
        words = list(WORD.finditer(element.text))
        if not words:
            empty += 1
            notes["sentences without text"] += 1
            continue
        if element.out_of_scope:
            notes["out of scope"] += 1
        tokens, lines = [word[0] for word in words], [element.line] * len(words)
        tags = _tags(element, words, name, notes) if file.tagged else None
        yield Sentence(tokens, tags, lines, element.source_id)
    if not found:
        raise DataError("no <sentence> in this file", where=name, hint="Subtask 1 has sentences, subtask 2 has texts.")
    if found == empty:
        raise DataError(
            f"the texts of all {found} sentences are empty",
            where=name,
            hint="The French package has annotations only; its reviews had to be fetched with a tool of its own.",
        )


def _tags(element: _Element, words: list[re.Match[str]], name: str, notes: Counter[str]) -> list[str]:
    starts = {word.start(): place for place, word in enumerate(words)}
    ends = {word.end(): place + 1 for place, word in enumerate(words)}
    tags = ["O"] * len(words)
    for begin, end in sorted(_spans(element, name, notes), key=lambda span: (span[0], -span[1])):
        if begin not in starts or end not in ends:
            notes["targets that begin or end inside a word"] += 1
            continue
        first, last = starts[begin], ends[end]
        if any(tag != "O" for tag in tags[first:last]):
            notes["overlapping targets"] += 1
            continue
        tags[first:last] = [f"B-{TARGET}", *[f"I-{TARGET}"] * (last - first - 1)]
    return tags


def _spans(element: _Element, name: str, notes: Counter[str]) -> set[tuple[int, int]]:
    """Return the distinct spans of a sentence whose offsets give the target's text."""
    found: set[tuple[int, int]] = set()
    for target, begin, end, line in element.opinions:
        if target == NULL:
            notes["NULL targets"] += 1
            continue
        try:
            span = int(begin), int(end)
        except ValueError as error:
            what = f"from={begin!r} to={end!r} are not offsets"
            raise DataError(what, where=f"{name}:{line}", hint="Repair the opinion.") from error
        if not 0 <= span[0] < span[1] <= len(element.text) or element.text[slice(*span)] != target:
            notes["offsets that do not give the target"] += 1
        elif span in found:
            notes["repeated targets"] += 1
        else:
            found.add(span)
    return found


class _Reader:
    """Turns the events of the parser into elements, as they end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done: list[_Element] = []
        self.open: _Element | None = None
        self.in_text = False
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse

    def read(self, handle: BinaryIO) -> Iterator[_Element]:
        try:
            more = True
            while more:
                data = handle.read(CHUNK)
                more = bool(data)
                self.parser.Parse(data, not more)
                yield from self.done
                self.done = []
        except expat.ExpatError as error:
            raise DataError(
                f"not well-formed XML: {expat.ErrorString(error.code)}",
                where=f"{self.name}:{error.lineno}",
                hint="`format: semeval_xml` is the XML of SemEval-2016 task 5; columns of tokens are `format: conll`.",
            ) from error
        except (LookupError, ValueError) as error:  # an encoding that Python or the parser has not
            raise DataError(f"not readable as XML: {error}", where=self.name) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sentence":
            line = self.parser.CurrentLineNumber
            scope = attributes.get("OutOfScope", "").upper() == "TRUE"
            self.open = _Element(attributes.get("id", ""), line, scope)
        elif tag == "text":
            self.in_text = self.open is not None
        elif tag == "Opinion" and self.open is not None:
            self._opinion(attributes, self.open)

    def _opinion(self, attributes: dict[str, str], element: _Element) -> None:
        line = self.parser.CurrentLineNumber
        if missing := [key for key in ("target", "from", "to") if key not in attributes]:
            raise DataError(f"an opinion without {missing[0]!r}", where=f"{self.name}:{line}")
        element.opinions.append((attributes["target"], attributes["from"], attributes["to"], line))

    def _end(self, tag: str) -> None:
        if tag == "text":
            self.in_text = False
        elif tag == "sentence" and self.open is not None:
            self.done.append(self.open)
            self.open = None

    def _characters(self, text: str) -> None:
        if self.in_text and self.open is not None:
            self.open.text += text

    def _refuse(self, *_: Any) -> None:
        line = self.parser.CurrentLineNumber
        raise DataError("a document type declaration", where=f"{self.name}:{line}", hint="Take it out of the file.")


FORMAT = Format(read, scheme="IOB2")
