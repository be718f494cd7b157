"""Parquet files that say what they are: one JSON header, one kind, one format number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagdistill.artifacts.files import atomic_path, check_kind
from tagdistill.artifacts.stored_file import stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
    return np.concatenate([_numbers(chunk) for chunk in column.chunks] or [np.zeros(0, _dtype(column.type))])


def _numbers(chunk: pa.Array) -> NDArray[Any]:
    if not pa.types.is_primitive(chunk.type):
        return _numbers(chunk.flatten())
    if chunk.null_count:
        raise ValueError(f"{chunk.null_count} values are null")
    data = chunk.buffers()[1]
    return np.frombuffer(data, _dtype(chunk.type), len(chunk), chunk.offset * chunk.type.bit_width // 8)


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype((kind if pa.types.is_primitive(kind) else kind.value_type).to_pandas_dtype())
    return dtype


def write_table(
    path: Path, columns: dict[str, pa.Array], metadata: Mapping[str, Any], split: list[str] | None = None
) -> None:
    """Write columns of numbers as a Parquet file with our header, byte-identical from identical inputs.

    `metadata` holds `kind`, and what the content was made from. `split` names the columns stored byte-stream-split: it
    makes float columns smaller.
    """
    options = {"compression_level": 3, "use_dictionary": False, "write_statistics": False, "store_schema": True}
    write_with_header(path, pa.table(columns), metadata, use_byte_stream_split=split or False, **options)


def write_with_header(path: Path, table: pa.Table, metadata: Mapping[str, Any], **options: Any) -> None:
    """Write a table with our header; `options` are those of `pyarrow.parquet.write_table`."""
    header = json.dumps({"format": FORMAT, **metadata}, sort_keys=True, ensure_ascii=False)
    table = table.replace_schema_metadata({KEY: header.encode()})
    with atomic_path(path) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", row_group_size=ROW_GROUP, write_page_checksum=True, **options
        )


def read_table(path: Path, kind: str) -> tuple[pa.Table, dict[str, Any]]:
    """Read one of our Parquet files and its header.

    Raises DataError for a file that is not there, is not whole or has no header, MismatchError for another kind or
    format.
    """
    with stored(path, "Parquet"), pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
        metadata = _header(file.schema_arrow.metadata, kind, path)
        return file.read(), metadata


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """Read the header of one of our Parquet files alone; raises what `read_table` raises."""
    with stored(path, "Parquet"):
        return _header(pq.read_schema(path, memory_map=True).metadata, kind, path)


def _header(metadata: Mapping[bytes, bytes] | None, kind: str, path: Path) -> dict[str, Any]:
    return check_kind(json.loads((metadata or {}).get(KEY, b"null")), kind, FORMAT, path)
