"""Parquet, one row for each text, with the columns of the JSON lines."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tagdistill.prediction.writer import Job, WriterFormat
from tagdistill.tagger.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    import pyarrow.parquet as pq

    from tagdistill.data.readers.format import Given
    from tagdistill.tagger.results import Tagged

ROWS = 10_000  # of a row group


def schema() -> pa.Schema:
    """Return the columns."""
    import pyarrow as pa  # not at the top: to know the endings of all formats must not take long

    texts = pa.list_(pa.string())
    places = [("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]
    spans = pa.list_(pa.struct([("label", pa.string()), ("text", pa.string()), *places]))
    bounds = pa.list_(pa.list_(pa.int64()))
    text = [("id", pa.string()), ("text", pa.string()), ("tokens", texts), ("labels", texts)]
    return pa.schema([*text, ("sentences", bounds), ("spans", spans), ("split", pa.string())])


class RowWriter:
    """Writes one row for each text."""

    def __init__(self, table: pq.ParquetWriter) -> None:
        self.table = table
        self.rows: list[dict[str, Any]] = []

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write a text."""
        self.rows.append(record(tagged, given.source_id))
        if len(self.rows) == ROWS:
            self.write_rows()

    def write_rows(self) -> None:
        """Write the rows that are waiting."""
        import pyarrow as pa

        self.table.write_table(pa.Table.from_pylist(self.rows, self.table.schema))
        self.rows = []


@contextmanager
def _table(job: Job) -> Iterator[RowWriter]:
    import pyarrow.parquet as pq

    table = pq.ParquetWriter(job.sink, schema())
    try:
        with table:
            rows = RowWriter(table)
            yield rows
            rows.write_rows()
    finally:
        table.is_open = False  # a table that could not be closed would try again when it is forgotten, and say so


WRITER = WriterFormat(_table, endings=(".parquet",), streams=False)
