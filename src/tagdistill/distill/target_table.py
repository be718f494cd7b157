"""Targets in Parquet: a teacher's posteriors and its K best label sequences, always at temperature 1.

They are computed from the scores, so that another K reruns no teacher, and another temperature only students.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tagdistill.artifacts.parquet import number_array, numbers_of, read_table, text_array, write_table
from tagdistill.artifacts.stored_file import stored
from tagdistill.distill import score_table
from tagdistill.distill.score_table import flat_list, offsets_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MIN_LOG_PROB = -6e4  # the lowest that float16 holds as a finite number, rounded


@dataclass(frozen=True)
class Targets:
    """A teacher's distribution over the label sequences of one corpus; sentence i has the words offsets[i:i + 2]."""

    ids: list[str]
    offsets: NDArray[np.int64]  # [sentences + 1]
    log_posterior: NDArray[np.float16]  # [words, labels]
    paths: NDArray[np.uint8]  # [words, k], best first
    path_log_prob: NDArray[np.float32]  # [sentences, k], -inf where a sentence has fewer than k label sequences
    metadata: dict[str, Any]


def write_targets(path: Path, targets: Targets) -> None:
    """Write the targets Parquet: one row per sentence in corpus order."""
    k = targets.paths.shape[1]
    columns = {
        "id": text_array(targets.ids),
        "length": number_array(np.diff(targets.offsets).astype(np.int32)),
        "log_posterior": flat_list(targets.log_posterior, targets.offsets),
        "top_k": _binary(targets.paths, targets.offsets),
        "top_k_log_prob": pa.FixedSizeListArray.from_arrays(number_array(targets.path_log_prob.reshape(-1)), k),
    }
    write_table(path, columns, targets.metadata, split=["log_posterior.list.element", "top_k_log_prob.list.element"])


def _binary(paths: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.Array:
    # A list<uint8> would be stored as 32-bit integers; a binary cell holds the bytes as they are.
    large = paths.size > score_table.MAX_OFFSET
    kind, number = (pa.large_binary(), np.int64) if large else (pa.binary(), np.int32)
    bounds = pa.py_buffer((offsets * paths.shape[1]).astype(number))
    return pa.Array.from_buffers(kind, len(offsets) - 1, [None, bounds, pa.py_buffer(np.ascontiguousarray(paths))])


def read_targets(path: Path) -> Targets:
    """Read a targets Parquet: one buffer per column, no Python object per word.

    Raises DataError if it cannot be read, MismatchError for another kind or format.
    """
    with stored(path, "a teacher's targets"):
        table, metadata = read_table(path, "targets")
        labels, k = len(metadata["labels"]), metadata["k"]
        offsets = offsets_of(table)
        words = int(offsets[-1])
        return Targets(
            ids=table["id"].to_pylist(),
            offsets=offsets,
            log_posterior=numbers_of(table["log_posterior"]).reshape(words, labels),
            paths=_bytes(table["top_k"]).reshape(words, k),
            path_log_prob=numbers_of(table["top_k_log_prob"]).reshape(len(table), k),
            metadata=metadata,
        )


def _bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    pieces = []
    number = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    for chunk in column.chunks:
        offsets = np.frombuffer(chunk.buffers()[1], number)[chunk.offset : chunk.offset + len(chunk) + 1]
        pieces.append(np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]])
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint8)
