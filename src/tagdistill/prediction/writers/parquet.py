"""Parquet, one row for each text, with the columns of the JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.prediction.writer import Job, WriterFormat
from tagdistill.prediction.writers.jsonl import record

if TYPE_CHECKING:
    import pyarrow as pa

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
    return pa.schema([*text, ("sentences", bounds), ("spans", spans)])


class ParquetWriter:
    """Writes one row for each text."""

    def __init__(self, job: Job) -> None:
        import pyarrow.parquet as pq

        self.schema = schema()
        self.writer = pq.ParquetWriter(job.sink, self.schema)
        self.rows: list[dict[str, Any]] = []

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write a text."""
        self.rows.append(record(given, tagged))
        if len(self.rows) == ROWS:
            self._write_rows()

    def end(self) -> None:
        """Write the rows that are left, and the footer."""
        self._write_rows()
        self.writer.close()

    def _write_rows(self) -> None:
        import pyarrow as pa

        self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.rows = []


WRITER = WriterFormat(ParquetWriter, endings=(".parquet",), streams=False)
