"""Targets in Parquet: a teacher's posteriors and its K best label sequences, always at temperature 1.

They are computed from the scores, so that another K reruns no teacher, and another temperature only students.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tagdistill.artifacts.parquet import Rows, StoredTable, number_array, row_groups, write_table
from tagdistill.artifacts.scratch import scratch
from tagdistill.artifacts.stored_file import read_errors, stored
from tagdistill.distill import score_table
from tagdistill.distill.score_table import flat_list, offsets_of, sentence_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MIN_LOG_PROB = -6e4  # the lowest that float16 holds as a finite number, rounded
WHAT = "a teacher's targets"


@dataclass(frozen=True)
class Targets:
    """A teacher's distribution over the label sequences of one corpus; sentence i has the words offsets[i:i + 2]."""

    ids: Sequence[str]
    offsets: NDArray[np.int64]  # [sentences + 1]
    log_posterior: NDArray[np.float16]  # [words, labels]
    paths: NDArray[np.uint8]  # [words, k], best first
    path_log_prob: NDArray[np.float32]  # [sentences, k], -inf where a sentence has fewer than k label sequences
    metadata: dict[str, Any]


def write_targets(path: Path, targets: Targets) -> None:
    """Write the targets Parquet: one row per sentence in corpus order."""
    k = targets.paths.shape[1]
    many, bytes_many = (values.size > score_table.MAX_OFFSET for values in (targets.log_posterior, targets.paths))

    def columns(rows: slice) -> dict[str, pa.Array]:
        offsets = targets.offsets[rows.start : rows.stop + 1]
        return {
            **sentence_columns(targets.ids[rows], offsets),
            "log_posterior": flat_list(targets.log_posterior, offsets, large=many),
            "top_k": _binary(targets.paths, offsets, large=bytes_many),
            "top_k_log_prob": pa.FixedSizeListArray.from_arrays(
                number_array(targets.path_log_prob[rows].reshape(-1)), k
            ),
        }

    split = ["log_posterior.list.element", "top_k_log_prob.list.element"]
    write_table(path, map(columns, row_groups(len(targets.ids))), targets.metadata, split=split)


def _binary(paths: NDArray[np.uint8], offsets: NDArray[np.int64], *, large: bool) -> pa.Array:
    # A list<uint8> would be stored as 32-bit integers; a binary cell holds the bytes as they are.
    kind, number = (pa.large_binary(), np.int64) if large else (pa.binary(), np.int32)
    bounds = pa.py_buffer(((offsets - offsets[0]) * paths.shape[1]).astype(number))
    content = pa.py_buffer(np.ascontiguousarray(paths[offsets[0] : offsets[-1]]))
    return pa.Array.from_buffers(kind, len(offsets) - 1, [None, bounds, content])


class TargetsFile:
    """A targets Parquet whose columns are read when they are asked for.

    `room` is a folder for temporary files, which large columns are mapped from; None: they are in memory. Raises
    DataError for what cannot be read, MismatchError for another kind or format.
    """

    def __init__(self, path: Path, room: Path | None = None) -> None:
        self.table, self.room = StoredTable.open(path, "targets", WHAT), room
        self.offsets = offsets_of(self.table)
        self.metadata = self.table.metadata
        with stored(path, WHAT):
            self.labels, self.k = len(self.metadata["labels"]), int(self.metadata["k"])

    @property
    def ids(self) -> Sequence[str]:
        """The id of each sentence."""
        return Rows(self.table, "id")

    def log_posterior(self) -> NDArray[np.float16]:
        """Return the log of each label's probability, [words, labels]."""
        return self.table.numbers("log_posterior", scratch(self.room, (self.words, self.labels), np.float16))

    def paths(self, k: int | None = None) -> NDArray[np.uint8]:
        """Return the `k` best of the label sequences (None: all), or all if there are fewer, [words, k], best first."""
        found = scratch(self.room, (self.words, min(k or self.k, self.k)), np.uint8)
        begin = 0
        for (column,) in self.table.groups("top_k"):
            with read_errors(self.table.path, WHAT):
                values = _bytes(column).reshape(-1, self.k)
                found[begin : begin + len(values)] = values[:, :k]
                begin += len(values)
        with read_errors(self.table.path, WHAT):
            if begin != len(found):
                raise ValueError(f"top_k holds {begin} words, needed are {len(found)}")
        return found

    def path_log_prob(self, k: int | None = None) -> NDArray[np.float32]:
        """Return the log-probabilities of the `k` best (None: of all), [sentences, k]."""
        every = self.table.numbers("top_k_log_prob", scratch(self.room, (len(self.table), self.k), np.float32))
        return every[:, :k]

    @property
    def words(self) -> int:
        """The number of words."""
        return int(self.offsets[-1])


def read_targets(path: Path) -> Targets:
    """Read a whole targets Parquet into memory; raises what `TargetsFile` does."""
    file = TargetsFile(path)
    every = file.log_posterior(), file.paths(), file.path_log_prob()
    return Targets(file.ids, file.offsets, *every, file.metadata)


def _bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    pieces = []
    number = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    for chunk in column.chunks:
        offsets = np.frombuffer(chunk.buffers()[1], number)[chunk.offset : chunk.offset + len(chunk) + 1]
        pieces.append(np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]])
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint8)
