"""JSON lines, one sentence or text per line: tokens and tags, or a text with spans by character offsets.

The second layout is that of doccano, Label Studio, Prodigy and spaCy. One JSON array of such values is read, too.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from tagdistill.data.readers.format import Format, Given, RawFile
from tagdistill.data.readers.notes import NOT_LABELLED
from tagdistill.data.readers.offsets import tags_of, words_of
from tagdistill.data.readers.records import Record, record_of
from tagdistill.data.readers.rows import bounds_of, check_characters, parted, sentence_of
from tagdistill.errors import DataError, LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.data.readers.lines import Line, Sentence

OVER_LINES = "targets lost, which run over the end of a line"
NOT_ACCEPTED = "records left out that their annotator did not accept"
SEVERAL = "tasks of several annotations, whose first one is read"
HINT = "`format: jsonl` holds one JSON object per line, or one array of objects."
Place = int | str  # the line, or which row of an array


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the sentences of the records; of a text each line is a sentence, and its words are those of `offsets`.

    Raises DataError, with the line, for a line that is not JSON or not of a known layout.
    """
    begun = False
    for place, value in _values(file):
        try:
            record = record_of(value, file.settings.columns, file.at(place), place, tagged=file.tagged)
            begun = True
            yield from _sentences(record, file, place)
        except DataError as error:
            file.leave_out(error, place, advise=begun or not isinstance(error, LayoutError))


def _values(file: RawFile) -> Iterator[tuple[Place, Any]]:
    """Yield the JSON values of the file: of its lines, or of the array that it is."""
    lines = ((number, line) for number, line in file.lines() if line.strip())
    first = next(lines, None)
    if first is None:
        return
    whole = _array(first, lines, file) if first[1].lstrip().startswith("[") else None
    if whole is not None:
        yield from ((f"row {number}", value) for number, value in enumerate(whole, 1))
        return
    for number, line in chain([first], lines):
        try:
            value = _parsed(line, f"{file.where}:{number}")
        except DataError as error:
            file.leave_out(error, number, advise=number > first[0])
            continue
        yield number, value


def _array(first: Line, rest: Iterator[Line], file: RawFile) -> list[Any] | None:
    """Return the array that the file is; None where its lines are arrays, each a text with its spans."""
    try:
        value = json.loads(first[1])
    except (ValueError, RecursionError):
        value = _parsed("\n".join([first[1], *(line for _, line in rest)]), f"{file.where}:{first[0]}")
    if value and isinstance(value[0], str):
        return None
    return list(value)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} (column {error.colno})", where=where, hint=HINT) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON that can be read: {error}", where=where, hint=HINT) from error


def _sentences(record: Record, file: RawFile, place: Place) -> Iterator[Sentence]:
    if not record.accepted or (file.tagged and not record.annotations):
        file.note(NOT_LABELLED if record.accepted else NOT_ACCEPTED, place)
        return
    if file.tagged and record.annotations > 1:
        file.note(SEVERAL, place)
    if record.text is None:
        sentence = sentence_of(record.tokens, record.tags, file.settings.names, file, place)
        found = list(parted(sentence, record.sentences))
    else:
        found = list(_of_text(record.text, record, file, place))
    lines = [place] if isinstance(place, int) else []
    for sentence in found:
        yield sentence._replace(lines=lines * len(sentence.tokens), source_id=record.source_id)


def texts(file: RawFile) -> Iterator[Given]:
    """Yield the text of each record, or its words; a record without words, too."""
    begun = False
    for place, value in _values(file):
        lines = [place] if isinstance(place, int) else []
        try:
            record = record_of(value, file.settings.columns, file.at(place), place, tagged=False)
            begun = True
            if not record.accepted:
                file.note(NOT_ACCEPTED, place)
            elif record.text is None:
                sentence = sentence_of(record.tokens, None, (), file, place) if record.tokens else None
                words = sentence.tokens if sentence else []
                bounds = bounds_of(record.sentences, len(words))
                yield Given(words, lines * len(words), record.source_id, sentences=bounds)
            else:
                check_characters(record.text, file.at(place))
                words_of_text = None if record.words is None else tuple((w.start, w.end) for w in record.words)
                yield Given(record.text, lines, record.source_id, words_of_text)
        except DataError as error:
            file.leave_out(error, place, advise=begun or not isinstance(error, LayoutError))


def _of_text(text: str, record: Record, file: RawFile, place: Place) -> Iterator[Sentence]:
    """Yield the sentence of each line of a text, with the tags of its words."""
    words = words_of(text) if record.words is None else record.words
    kept = []
    for target in record.targets:
        if "\n" in text[max(target.start, 0) : max(target.end, 0)].strip():
            file.note(OVER_LINES, place, repr(text[target.start : target.end]))
        else:
            kept.append(target)
    tags = tags_of(text, words, kept, file) if file.tagged else None
    begin = 0
    for end in range(len(words) + 1):
        if end == len(words) or (end and "\n" in text[words[end - 1].end : words[end].start]):
            if sentence := sentence_of([word.text for word in words[begin:end]], None, (), file, place):
                yield sentence._replace(tags=tags[begin:end] if tags is not None else None, scheme="IOB2")
            begin = end


FORMAT = Format(read, endings=(".jsonl", ".json", ".ndjson"), texts=texts)
