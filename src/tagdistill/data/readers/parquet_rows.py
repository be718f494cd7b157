"""The rows of Parquet files as sentences."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tagdistill.data.readers.format import Given
from tagdistill.data.readers.notes import EMPTY_ROWS
from tagdistill.data.readers.rows import IDS, SENTENCES, TAGS, TOKENS, asked_or_usual, bounds_of, parted, sentence_of
from tagdistill.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tagdistill.data.readers.format import RawFile
    from tagdistill.data.readers.lines import Sentence
    from tagdistill.settings.language import Language

ROWS = 1024


class Layout(NamedTuple):
    """The columns that are read, and the names of classes where labels are numbers."""

    tokens: str
    tags: str | None
    source_id: str | None
    sentences: str | None
    names: tuple[str, ...]


def read_rows(file: RawFile) -> Iterator[Sentence]:
    """Yield the rows; empty ones are left out and noted.

    Raises DataError where the columns are not there, or not of the types that are needed.
    """
    for place, _, sentence, found in _sentences(file):
        yield from parted(sentence, found)
        if sentence is None:
            file.note(EMPTY_ROWS, place)


def read_texts(file: RawFile) -> Iterator[Given]:
    """Yield the words of each row, also of an empty one: what is labelled has as many rows.

    Raises DataError as `read_rows` does.
    """
    for _, source_id, sentence, found in _sentences(file):
        tokens = sentence.tokens if sentence else []
        yield Given(tokens, [], source_id, sentences=bounds_of(found, len(tokens)))


def _sentences(file: RawFile) -> Iterator[tuple[str, str, Sentence | None, Any]]:
    """Yield place, id and tokens of each row, None for an empty one, and where its sentences are.

    What is broken is left out if it may be.
    """
    try:
        table = pq.ParquetFile(file.handle)
        layout, numbers = _layout(table.schema_arrow, file), count(1)
        for batch in table.iter_batches(ROWS, columns=[c for c in layout[:4] if c]):
            for row in batch.to_pylist():
                place = f"row {next(numbers)}"
                try:
                    yield place, *_sentence(row, layout, file, place), row.get(layout.sentences or "")
                except DataError as error:
                    file.leave_out(error, place)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"not readable as Parquet: {str(error).splitlines()[0]}", where=file.where) from error


def _layout(schema: pa.Schema, file: RawFile) -> Layout:
    name, settings = file.where, file.settings
    tokens = _column(schema, settings.columns.get("token"), TOKENS, name)
    if not _is_text(schema, tokens):
        what = f"column {tokens!r} is {schema.field(tokens).type}, not a list of strings"
        hint = "Text that is not split into words yet is `format: text`, one sentence per line."
        raise DataError(what, where=name, hint=hint)
    tags: str | None = None
    names: tuple[str, ...] = ()
    if file.tagged:
        tags = _column(schema, settings.columns.get("tag"), TAGS, name)
        names = () if _is_text(schema, tags) else _names(schema, tags, settings, name)
    ids = (c for c in IDS if c in schema.names and pa.types.is_string(schema.field(c).type))
    told = SENTENCES in schema.names and _is_list(schema.field(SENTENCES).type)
    return Layout(tokens, tags, next(ids, None), SENTENCES if told else None, names)


def _column(schema: pa.Schema, asked: int | str | None, usual: tuple[str, ...], name: str) -> str:
    """Return the column that is asked for by name, else the usual one; two usual ones are for the user to choose."""
    known = list(schema.names)
    if twice := sorted({column for column in known if known.count(column) > 1}):
        raise DataError(f"two columns are named {twice[0]!r}", where=name)
    there = asked_or_usual(asked, usual, known)
    key = "token" if usual is TOKENS else "tag"
    if not there or there[0] not in known:
        wanted = there[0] if there else usual[0]
        hint = f"{nearest(wanted, known)} Say which: `columns: {{{key}: NAME}}`.{_nested(schema)}"
        raise DataError(f"no column {wanted!r}", where=name, hint=hint)
    if len(there) > 1:
        hint = f"Say which: `columns: {{{key}: NAME}}`."
        raise DataError(f"several columns of {key}s: {', '.join(there)}", where=name, hint=hint)
    return there[0]


def _nested(schema: pa.Schema) -> str:
    """Return what to do where a column holds a list of structures, a token and its tag in each."""
    found = [field.name for field in schema if _is_list(field.type) and pa.types.is_struct(field.type.value_type)]
    return f" {found[0]!r} is a list of structures: write their fields as two columns of lists." if found else ""


def _is_text(schema: pa.Schema, column: str) -> bool:
    """Return whether a column holds lists of strings, also as dictionaries or views."""
    kind = schema.field(column).type
    if not _is_list(kind):
        return False
    inner = kind.value_type
    inner = inner.value_type if pa.types.is_dictionary(inner) else inner
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    views = (pa.types.is_list_view, pa.types.is_large_list_view)
    return any(test(kind) for test in (*tests, *views))


def _names(schema: pa.Schema, column: str, settings: Language, name: str) -> tuple[str, ...]:
    kind = schema.field(column).type
    if not (_is_list(kind) and pa.types.is_integer(kind.value_type)):
        raise DataError(f"column {column!r} is {kind}, not a list of strings or of class numbers", where=name)
    names = _own_names(schema.metadata, column) or settings.names
    if not names:
        raise DataError(
            f"column {column!r} holds class numbers, and the file does not name the classes",
            where=name,
            hint="Give their names in order: `names: [O, B-PER, ...]`.",
        )
    return names


def _own_names(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """Return the names of classes in what the library `datasets` writes into a file: features of lists of classes."""
    try:
        feature: Any = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        while isinstance(feature, dict | list) and "names" not in feature:
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        names = feature["names"]
    except (KeyError, IndexError, TypeError, ValueError):
        return ()
    texts = isinstance(names, list) and all(isinstance(text, str) and text for text in names)
    return tuple(names) if texts else ()


def _sentence(row: dict[str, Any], layout: Layout, file: RawFile, place: str) -> tuple[str, Sentence | None]:
    """Return the id of a row and its sentence, None for an empty one."""
    tokens, tags, found = (row[column] if column else None for column in layout[:3])
    source_id = found or ""
    if not tokens and not tags:
        return source_id, None
    return source_id, sentence_of(tokens, (tags or []) if layout.tags else None, layout.names, file, place, source_id)
