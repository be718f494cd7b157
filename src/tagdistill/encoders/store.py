"""The feature store: float16 vectors of words in a safetensors file, written as they are computed, mapped when read.

With `pooling: none` they are states of pieces, special ones included, and those of a window stand together.
"""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.artifacts.files import atomic_path, check_belongs, check_kind
from tagdistill.artifacts.scratch import reserve
from tagdistill.artifacts.stored_file import stored
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from tagdistill.data.corpus import Corpus

FORMAT, KIND = 1, "features"
KEY = "tagdistill"
STORE = "a feature store"


@dataclass(frozen=True)
class FeatureStore:
    """Vectors of words (or pieces) of one split, in corpus order. The file stays mapped: what is read takes memory."""

    path: Path
    features: Tensor  # (words, dim) float16
    offsets: Tensor  # (sentences + 1,) int64; of pieces (windows + 1,)
    metadata: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> FeatureStore:
        """Open a store. Raises DataError where it is none, MismatchError where its format is another version's."""
        import torch
        from safetensors import safe_open

        if not path.is_file():
            raise DataError("no such feature store", where=str(path), hint="Make it with `tagdistill encode`.")
        metadata = read_metadata(path)
        with stored(path, STORE), safe_open(path, framework="np") as file:  # for torch it is mapped to be written to
            offsets = torch.from_numpy(file.get_tensor("offsets"))
            shape = tuple(file.get_slice("features").get_shape())
            if len(shape) != 2 or shape[0] != int(offsets[-1]):
                raise ValueError(f"vectors of shape {shape} for {int(offsets[-1])} words")
            vectors = _mapped(path, shape)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # nobody writes to them
            return cls(path, torch.from_numpy(vectors), offsets, metadata)

    def __len__(self) -> int:
        """Return the number of sentences, or of windows."""
        return len(self.offsets) - 1

    def matches(self, corpus: Corpus) -> None:
        """Raise MismatchError where the store was made from another text."""
        check_belongs(self.path, self.metadata, tokens_sha256=corpus.tokens_sha256)

    def check_windows(self, lengths: np.ndarray) -> None:
        """Raise MismatchError where a text's windows, of so many pieces each, are not those of the states."""
        if not np.array_equal(np.diff(self.offsets.numpy()), lengths):
            what = "its windows are not those of this text"
            raise MismatchError(what, where=str(self.path), hint="Delete it and run again.")


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the vectors, mapped for reading: what `safe_open` maps may be written to, and counts as memory."""
    if not shape[0] * shape[1]:
        return np.zeros(shape, np.float16)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(size))["features"]
    if head["dtype"] != "F16":
        raise TypeError(f"vectors of type {head['dtype']}, needed is F16")
    return np.memmap(path, "<f2", "r", 8 + size + head["data_offsets"][0], shape)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what the store says about itself, without reading a tensor."""
    from safetensors import safe_open

    with stored(path, STORE), safe_open(path, framework="np") as file:
        return check_kind(json.loads((file.metadata() or {})[KEY]), KIND, FORMAT, path)


@contextmanager
def writing(path: Path, offsets: np.ndarray, dim: int, metadata: dict[str, Any]) -> Iterator[np.ndarray]:
    """Yield the store's vectors (words, dim), float16, to be filled in any order; the file is complete or absent.

    They are mapped onto the file, so that a store larger than the memory can be written.
    """
    shape = (int(offsets[-1]), dim)
    head = _header(shape, len(offsets), {"format": FORMAT, "kind": KIND, **metadata})
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            file.write(head)
            file.write(offsets.astype("<i8").tobytes())
            start = file.tell()
            reserve(file, start + 2 * shape[0] * dim)
        if not shape[0]:  # nothing to map
            yield np.zeros(shape, np.float16)
            return
        features = np.memmap(temporary, "<f2", "r+", start, shape)
        yield features
        features.flush()
        del features


def _header(shape: tuple[int, int], offsets: int, metadata: dict[str, Any]) -> bytes:
    """Return the head of a safetensors file: its length, and JSON padded so that the tensors are aligned to 8 bytes."""
    end = 8 * offsets
    head = {
        "__metadata__": {KEY: json.dumps(metadata, sort_keys=True, ensure_ascii=False)},
        "offsets": {"dtype": "I64", "shape": [offsets], "data_offsets": [0, end]},
        "features": {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + 2 * shape[0] * shape[1]]},
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
