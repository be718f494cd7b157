"""Parquet with one sentence a row: list columns `tokens` and `labels` (or `tags`), strings all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tagdistill.data.lines import Sentence
from tagdistill.errors import DataError, nearest

TAGS = ("labels", "tags")
IDS = ("id", "source_id", "sent_id")


def read_table(handle: BinaryIO, name: str, tagged: bool) -> Iterator[Sentence]:
    """Yield the rows; class numbers are refused, since their names stand elsewhere."""
    number = 0
    try:
        file = pq.ParquetFile(handle)
        columns = _columns(file.schema_arrow, name, tagged)
        for batch in file.iter_batches(1024, columns=[c for c in columns if c]):
            for row in batch.to_pylist():
                number += 1
                yield _sentence(row, columns, name, number)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"not readable as Parquet: {str(error).splitlines()[0]}", where=name) from error


def _columns(schema: pa.Schema, name: str, tagged: bool) -> tuple[str, str | None, str | None]:
    known = schema.names
    tag = next((column for column in TAGS if column in known), None)
    source_id = next((c for c in IDS if c in known and pa.types.is_string(schema.field(c).type)), None)
    for column in ["tokens", tag or TAGS[0]] if tagged else ["tokens"]:
        if column not in known:
            raise DataError(f"no column {column!r}", where=name, hint=nearest(column, known))
        kind = schema.field(column).type
        text = (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
            pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        )
        if not text:
            hint = "Class numbers must be written as their names." if "int" in str(kind) else None
            raise DataError(f"column {column!r} is {kind}, not a list of strings", where=name, hint=hint)
    return "tokens", tag if tagged else None, source_id


def _sentence(row: dict[str, Any], columns: tuple[str, str | None, str | None], name: str, number: int) -> Sentence:
    tokens, tags, source_id = (row[column] if column else None for column in columns)
    where = f"{name}: sentence {number}"
    if not tokens or not all(tokens):
        raise DataError("no token, or an empty one", where=where)
    if columns[1] and (not tags or not all(tags) or len(tags) != len(tokens)):
        raise DataError(f"{len(tags or [])} labels for {len(tokens)} tokens, or an empty one", where=where)
    return Sentence(tokens, tags, [], source_id or "", number=number)
