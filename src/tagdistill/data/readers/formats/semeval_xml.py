"""XML of SemEval-2014 task 4 (aspect terms) and SemEval-2015 and 2016 (opinion targets), given by character offsets.

The published files are not tokenised: `tagdistill.data.readers.offsets` says what a word is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.parsers import expat

from tagdistill.data.readers.format import Format, RawFile
from tagdistill.data.readers.lines import Sentence
from tagdistill.data.readers.offsets import Target, tags_of, words_of
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET = "TARGET"
NULL = "NULL"
ANNOTATIONS = {"Opinion": "target", "aspectTerm": "term"}  # elements, and the attribute that holds the span's text
NULL_TARGETS = "opinions without a target (NULL)"
WITHOUT_TEXT = "sentences without text left out"
OUT_OF_SCOPE = "sentences out of scope, read without targets"
CHUNK = 1 << 16


@dataclass
class _Element:
    """One <sentence> as it is read."""

    source_id: str
    line: int
    out_of_scope: bool
    text: str = ""
    targets: list[Target] = field(default_factory=list)


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the sentences; opinion targets and aspect terms become IOB2 spans of the type TARGET.

    Noted is what is no span or cannot be one: NULL targets, targets that are given twice, offsets that do not give the
    target's text, targets that begin or end inside a word, targets that overlap an earlier one. None of them is moved
    to where it might belong. Sentences without text are left out and noted. Raises DataError for a file that is no such
    XML or, where labels are read, has neither opinions nor aspect terms; document type declarations are refused, since
    entities can be made to grow without end.
    """
    reader, found, empty = _Reader(file), 0, 0
    for element in reader.read(file.handle):
        found += 1
        words = words_of(element.text)
        if not words:
            empty += 1
            file.note(WITHOUT_TEXT, element.line)
            continue
        if element.out_of_scope:
            file.note(OUT_OF_SCOPE, element.line)
        tags = tags_of(element.text, words, _targets(element, file), file) if file.tagged else None
        tokens = [word.text for word in words]
        yield Sentence(tokens, tags, [element.line] * len(words), element.source_id, scheme="IOB2")
    if not found:
        hint = "Subtask 1 has sentences, subtask 2 has texts."
        raise DataError("no <sentence> in this file", where=file.where, hint=hint)
    if found == empty:
        raise DataError(
            f"the texts of all {found} sentences are empty",
            where=file.where,
            hint="The French package has annotations only; its reviews had to be fetched with a tool of its own.",
        )
    if file.tagged and not reader.annotated:
        hint = "Targets are read from these elements only; text without them can be the `unlabelled` split."
        raise DataError("neither <Opinion> nor <aspectTerm> in this file", where=file.where, hint=hint)


def _targets(element: _Element, file: RawFile) -> Iterator[Target]:
    """Yield the targets that are spans, and note the others."""
    for target in element.targets:
        if target.text == NULL:
            file.note(NULL_TARGETS, target.line)
        else:
            yield target


class _Reader:
    """Turns the events of the parser into elements, as they end."""

    def __init__(self, file: RawFile) -> None:
        self.file = file
        self.done: list[_Element] = []
        self.open: _Element | None = None
        self.in_text = False
        self.annotated = False  # whether a sentence holds annotations, or an element that is there for them
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
                where=f"{self.file.where}:{error.lineno}",
                hint="`format: semeval_xml` is the XML of SemEval; columns of tokens are `format: conll`.",
            ) from error
        except (LookupError, ValueError) as error:  # an encoding that Python or the parser has not
            raise DataError(f"not readable as XML: {error}", where=self.file.where) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sentence":
            line = self.parser.CurrentLineNumber
            scope = attributes.get("OutOfScope", "").upper() == "TRUE"
            self.open = _Element(attributes.get("id", ""), line, scope)
        elif tag == "text":
            self.in_text = self.open is not None
        elif tag in ANNOTATIONS and self.open is not None:
            self.annotated = True
            self._target(attributes, ANNOTATIONS[tag], self.open)

    def _target(self, attributes: dict[str, str], text: str, element: _Element) -> None:
        line = self.parser.CurrentLineNumber
        where = f"{self.file.where}:{line}"
        if missing := [key for key in (text, "from", "to") if key not in attributes]:
            raise DataError(f"an annotation without {missing[0]!r}", where=where)
        begin, end = attributes["from"], attributes["to"]
        if not (_is_offset(begin) and _is_offset(end)):
            raise DataError(f"from={begin!r} to={end!r} are not offsets", where=where, hint="Repair the annotation.")
        element.targets.append(Target(TARGET, int(begin), int(end), attributes[text], line))

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
        where = f"{self.file.where}:{self.parser.CurrentLineNumber}"
        raise DataError("a document type declaration", where=where, hint="Take it out of the file.")


def _is_offset(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) < 10


FORMAT = Format(read)
