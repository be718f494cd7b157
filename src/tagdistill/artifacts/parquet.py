"""Parquet files that say what they are: one JSON header, one kind, one format number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagdistill.artifacts.files import atomic_path, check_kind
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
KEY = b"tagdistill"
ROW_GROUP = 4096


def write_table(
    path: Path, columns: dict[str, pa.Array], metadata: dict[str, Any], split: list[str] | None = None
) -> None:
    """Write a Parquet file with our metadata, byte-identical from identical inputs.

    `split` names the columns stored byte-stream-split: it makes float columns smaller.
    """
    header = json.dumps({"format": FORMAT, **metadata}, sort_keys=True, ensure_ascii=False)
    table = pa.table(columns).replace_schema_metadata({KEY: header.encode()})
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=3,
            row_group_size=ROW_GROUP,
            use_dictionary=False,
            write_statistics=False,
            use_byte_stream_split=split or False,  # type: ignore[arg-type]
            store_schema=True,
        )


def read_table(path: Path, kind: str) -> tuple[pa.Table, dict[str, Any]]:
    """Read one of our Parquet files and its metadata; refuse another kind or format."""
    try:
        table = pq.read_table(path, memory_map=True)
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"not readable as Parquet: {error}", where=str(path), hint="Delete it and run again."
        ) from error
    header = (table.schema.metadata or {}).get(KEY)
    if header is None:
        raise DataError("was not written by tagdistill", where=str(path))
    return table, check_kind(json.loads(header), kind, FORMAT, path)


def check_belongs(path: Path, metadata: dict[str, Any], **wanted: Any) -> None:
    """Refuse a file that was made for another label list, corpus or teacher, and show both values."""
    for name, value in wanted.items():
        if metadata.get(name) != value:
            raise MismatchError(
                f"{name} is {metadata.get(name)!r}, needed is {value!r}",
                where=str(path),
                hint="It does not belong to what it is used with. If it is the wrong one, delete it and run again.",
            )
