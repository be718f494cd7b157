"""Teacher scores in Parquet: the result of the forward pass over one corpus, from which targets are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tagdistill.artifacts.parquet import number_array, numbers_of, read_table, text_array, write_table
from tagdistill.artifacts.stored_file import stored

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_OFFSET = 2**31 - 1  # values of a column in Arrow's lists and binary cells that are not large


@dataclass(frozen=True)
class Scores:
    """Emissions of every sentence of one corpus and the chain's other scores.

    Sentence i has the rows offsets[i] to offsets[i + 1] of `emissions`.
    """

    ids: list[str]
    offsets: NDArray[np.int64]  # [sentences + 1]
    emissions: NDArray[np.float32]  # [words, labels]
    transitions: NDArray[np.float32]  # [labels, labels] as [from, to]
    start: NDArray[np.float32]  # [labels]
    end: NDArray[np.float32]  # [labels]
    metadata: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """The label list, in the order of the emissions."""
        return list(self.metadata["labels"])


def write_scores(path: Path, scores: Scores) -> None:
    """Write scores.parquet: one row per sentence in corpus order, the chain's other scores in the metadata."""
    chain = {name: getattr(scores, name).tolist() for name in ("transitions", "start", "end")}
    columns = {
        "id": text_array(scores.ids),
        "length": number_array(np.diff(scores.offsets).astype(np.int32)),
        "emissions": flat_list(scores.emissions, scores.offsets),
    }
    write_table(path, columns, {**scores.metadata, **chain, "kind": "scores"}, split=["emissions.list.element"])


def read_scores(path: Path) -> Scores:
    """Read scores.parquet. Raises DataError if it cannot be read, MismatchError for another kind or format."""
    with stored(path, "a teacher's scores"):
        table, metadata = read_table(path, "scores")
        labels = len(metadata["labels"])
        shapes = {"transitions": (labels, labels), "start": (labels,), "end": (labels,)}
        chain = {name: np.asarray(metadata.pop(name), np.float32).reshape(shape) for name, shape in shapes.items()}
        offsets = offsets_of(table)
        emissions = numbers_of(table["emissions"]).reshape(int(offsets[-1]), labels)
        return Scores(table["id"].to_pylist(), offsets, emissions, metadata=metadata, **chain)


def flat_list(values: NDArray[Any], offsets: NDArray[np.int64]) -> pa.ListArray | pa.LargeListArray:
    """Return [words, width] rows as one flat list per sentence, without a Python object per word.

    A large list, with offsets of 64 bits, where the values are too many for those of 32 bits.
    """
    width = values.shape[1]
    flat = number_array(values.reshape(-1))
    if len(flat) > MAX_OFFSET:
        return pa.LargeListArray.from_arrays(number_array(offsets * width), flat)
    return pa.ListArray.from_arrays(number_array((offsets * width).astype(np.int32)), flat)


def offsets_of(table: pa.Table) -> NDArray[np.int64]:
    """Return where each sentence starts, and the end of the last."""
    return np.concatenate([[0], np.cumsum(numbers_of(table["length"]), dtype=np.int64)])
