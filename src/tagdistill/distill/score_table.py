"""Teacher scores in Parquet: the result of the forward pass over one corpus, from which targets are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tagdistill.artifacts.parquet import Rows, StoredTable, number_array, row_groups, text_array, write_table
from tagdistill.artifacts.scratch import scratch
from tagdistill.artifacts.stored_file import stored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAX_OFFSET = 2**31 - 1  # values of a column in Arrow's lists and binary cells that are not large
WHAT = "a teacher's scores"


@dataclass(frozen=True)
class Scores:
    """Emissions of every sentence of one corpus and the chain's other scores.

    Sentence i has the rows offsets[i] to offsets[i + 1] of `emissions`.
    """

    ids: Sequence[str]
    offsets: NDArray[np.int64]  # [sentences + 1]
    emissions: NDArray[np.float32]  # [words, labels]
    transitions: NDArray[np.float32]  # [labels, labels] as [from, to]
    start: NDArray[np.float32]  # [labels]
    end: NDArray[np.float32]  # [labels]
    metadata: dict[str, Any]
    fold: NDArray[np.int64] | None = (
        None  # [sentences], of out-of-fold scores: the chain's others are [folds, ...] then
    )

    @property
    def labels(self) -> list[str]:
        """The label list, in the order of the emissions."""
        return list(self.metadata["labels"])


def sentence_columns(ids: Sequence[str], offsets: NDArray[np.int64]) -> dict[str, pa.Array]:
    """Return the columns of some sentences that scores and targets have alike, by their `offsets` [sentences + 1]."""
    return {"id": text_array(ids), "length": number_array(np.diff(offsets).astype(np.int32))}


def write_scores(path: Path, scores: Scores) -> None:
    """Write scores.parquet: one row per sentence in corpus order, the chain's other scores in the metadata."""
    chain = {name: getattr(scores, name).tolist() for name in ("transitions", "start", "end")}
    large = scores.emissions.size > MAX_OFFSET

    def columns(rows: slice) -> dict[str, pa.Array]:
        offsets = scores.offsets[rows.start : rows.stop + 1]
        return {
            **sentence_columns(scores.ids[rows], offsets),
            "emissions": flat_list(scores.emissions, offsets, large=large),
            **({} if scores.fold is None else {"fold": number_array(scores.fold[rows])}),
        }

    header = {**scores.metadata, **chain, "kind": "scores"}
    write_table(path, map(columns, row_groups(len(scores.ids))), header, split=["emissions.list.element"])


def read_scores(path: Path, room: Path | None = None) -> Scores:
    """Read scores.parquet. Raises DataError if it cannot be read, MismatchError for another kind or format.

    `room`: a folder for temporary files, which the emissions are mapped from; None: they are in memory.
    """
    table = StoredTable.open(path, "scores", WHAT)
    offsets = offsets_of(table)
    with stored(path, WHAT):
        metadata = dict(table.metadata)
        labels = len(metadata["labels"])
        folds = [len(metadata["fold_teachers"])] if "fold_teachers" in metadata else []
        shapes = {"transitions": (*folds, labels, labels), "start": (*folds, labels), "end": (*folds, labels)}
        chain = {name: np.asarray(metadata.pop(name), np.float32).reshape(shape) for name, shape in shapes.items()}
    emissions = table.numbers("emissions", scratch(room, (int(offsets[-1]), labels), np.float32))
    fold = table.numbers("fold", np.zeros(len(table), np.int64)) if folds else None
    return Scores(Rows(table, "id"), offsets, emissions, metadata=metadata, fold=fold, **chain)


def flat_list(values: NDArray[Any], offsets: NDArray[np.int64], *, large: bool) -> pa.ListArray | pa.LargeListArray:
    """Return the rows of [words, width] from the first offset to the last, as one flat list per sentence.

    `large`: a list with offsets of 64 bits, where all values of a table are too many for those of 32 bits.
    """
    width = values.shape[1]
    flat = number_array(values[offsets[0] : offsets[-1]].reshape(-1))
    bounds = (offsets - offsets[0]) * width
    if large:
        return pa.LargeListArray.from_arrays(number_array(bounds), flat)
    return pa.ListArray.from_arrays(number_array(bounds.astype(np.int32)), flat)


def offsets_of(table: StoredTable) -> NDArray[np.int64]:
    """Return where each sentence starts, and the end of the last."""
    lengths = table.numbers("length", np.zeros(len(table), np.int32))
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
