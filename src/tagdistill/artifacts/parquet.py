"""Parquet files that say what they are: one JSON header, one kind, one format number."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagdistill.artifacts.files import atomic_path, check_kind
from tagdistill.artifacts.stored_file import read_errors, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 1
KEY = b"tagdistill"
ROW_GROUP = 4096


# pyarrow.array and to_numpy import pandas, which takes longer than a short job's own work. So columns are made of
# buffers, and read as such.


def number_array(values: NDArray[Any]) -> pa.Array:
    """Return one-dimensional numbers as a column."""
    flat = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat)])


def text_array(values: Sequence[str]) -> pa.Array:
    """Return texts as a column."""
    encoded = [value.encode() for value in values]
    ends = np.concatenate([[0], np.cumsum([len(value) for value in encoded])]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])


def numbers_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column of numbers, or the values of all lists in one of lists. Raises ValueError where some are null."""
    return np.concatenate([array_numbers(chunk) for chunk in column.chunks] or [np.zeros(0, _dtype(column.type))])


def array_numbers(chunk: pa.Array) -> NDArray[Any]:
    """Return the numbers of an array, as `numbers_of`, without a copy."""
    if not pa.types.is_primitive(chunk.type):
        return array_numbers(chunk.flatten())
    if chunk.null_count:
        raise ValueError(f"{chunk.null_count} values are null")
    data = chunk.buffers()[1]
    return np.frombuffer(data, _dtype(chunk.type), len(chunk), chunk.offset * chunk.type.bit_width // 8)


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype((kind if pa.types.is_primitive(kind) else kind.value_type).to_pandas_dtype())
    return dtype


def row_groups(rows: int) -> list[slice]:
    """Return the rows of each group of a table; a table without rows has one group, too."""
    return [slice(begin, min(begin + ROW_GROUP, rows)) for begin in range(0, max(rows, 1), ROW_GROUP)]


def write_table(
    path: Path,
    groups: Iterable[dict[str, pa.Array]],
    metadata: Mapping[str, Any],
    split: list[str] | None = None,
) -> None:
    """Write columns of numbers as a Parquet file with our header, byte-identical from identical inputs.

    `groups` holds the columns of some rows after those of others, ROW_GROUP rows each but for the last. `metadata`
    holds `kind`, and what the content was made from. `split` names the columns stored byte-stream-split: it makes float
    columns smaller.
    """
    options = {"compression_level": 3, "use_dictionary": False, "write_statistics": False, "store_schema": True}
    write_with_header(path, map(pa.table, groups), metadata, use_byte_stream_split=split or False, **options)


def write_with_header(path: Path, tables: Iterable[pa.Table], metadata: Mapping[str, Any], **options: Any) -> None:
    """Write tables, at least one, below each other with our header; `options` are those of a `ParquetWriter`."""
    header = json.dumps({"format": FORMAT, **metadata}, sort_keys=True, ensure_ascii=False)
    options |= {"compression": "zstd", "write_page_checksum": True}
    rest = iter(tables)
    first = next(rest).replace_schema_metadata({KEY: header.encode()})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, first.schema, **options) as writer:
        writer.write_table(first, ROW_GROUP)
        for table in rest:
            writer.write_table(table.replace_schema_metadata(first.schema.metadata), ROW_GROUP)


@dataclass(frozen=True)
class StoredTable:
    """One of our Parquet files: its header, and columns that are read a row group at a time.

    The file stays open, so that what is read is of one file even if another takes its name meanwhile.
    """

    path: Path
    what: str  # it should be, for messages
    metadata: dict[str, Any]
    file: pq.ParquetFile

    @classmethod
    def open(cls, path: Path, kind: str, what: str = "Parquet") -> Self:
        """Open a table.

        Raises DataError for a file that is not there, is not whole or has no header, MismatchError for another kind or
        format.
        """
        with stored(path, "Parquet"):
            file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
            return cls(path, what, _header(file.schema_arrow.metadata, kind, path), file)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.file.metadata.num_rows)

    def groups(self, *columns: str) -> Iterator[tuple[pa.ChunkedArray, ...]]:
        """Yield some columns of each row group. Raises DataError where they are not there or cannot be read."""
        for number in range(self.file.num_row_groups):
            yield self.group(number, *columns)

    def group(self, number: int, *columns: str) -> tuple[pa.ChunkedArray, ...]:
        """Return some columns of one row group."""
        with read_errors(self.path, self.what):
            table = self.file.read_row_group(number, columns=list(columns), use_threads=False)
            return tuple(table[column] for column in columns)

    def numbers(self, column: str, out: NDArray[Any]) -> NDArray[Any]:
        """Fill `out`, [values of all rows, ...], with a column of numbers or of lists of them, and return it.

        Raises DataError for more or fewer values, for values of another type, and where some are null.
        """
        begin = 0
        for (values,) in self.groups(column):
            with read_errors(self.path, self.what):
                found = numbers_of(values)
                if found.dtype != out.dtype:
                    raise TypeError(f"{column} holds {found.dtype}, needed is {out.dtype}")
                found = found.reshape(-1, *out.shape[1:])
                if begin + len(found) > len(out):
                    raise ValueError(f"{column} holds more values than {len(out)}")
                out[begin : begin + len(found)] = found
                begin += len(found)
        with read_errors(self.path, self.what):
            if begin != len(out):
                raise ValueError(f"{column} holds {begin} values, not {len(out)}")
        return out


class Rows(Sequence[Any]):
    """A column of a table as Python values, which are made when they are asked for, a row group at a time."""

    def __init__(self, table: StoredTable, column: str) -> None:
        self.table, self.column = table, column
        groups = range(table.file.num_row_groups)
        self.ends = np.cumsum([table.file.metadata.row_group(group).num_rows for group in groups], dtype=np.int64)
        self._last: tuple[int, list[Any]] = (-1, [])

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Any]:
        for (values,) in self.table.groups(self.column):
            yield from values.to_pylist()

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        chosen = range(len(self))[place]
        if isinstance(chosen, range):
            return [self[row] for row in chosen]
        group = int(np.searchsorted(self.ends, chosen, side="right"))
        if self._last[0] != group:
            self._last = (group, self.table.group(group, self.column)[0].to_pylist())
        return self._last[1][chosen - int(self.ends[group])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of a list


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """Read the header of one of our Parquet files alone; raises what `StoredTable.open` raises."""
    with stored(path, "Parquet"):
        return _header(pq.read_schema(path, memory_map=True).metadata, kind, path)


def _header(metadata: Mapping[bytes, bytes] | None, kind: str, path: Path) -> dict[str, Any]:
    return check_kind(json.loads((metadata or {}).get(KEY, b"null")), kind, FORMAT, path)
