"""Large arrays in files without a name: mapped, so that they take no memory, and gone with their process."""

from __future__ import annotations

import math
import os
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tagdistill.artifacts.write_errors import write_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

LARGE = 1 << 22  # bytes; what is smaller stays in memory


def scratch(folder: Path | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros to be filled, mapped onto a file in `folder` if they are many; None: in memory.

    The file system gives the space back as soon as nothing uses the array, however the process ends. Raises
    TagdistillError where the disk is full.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if folder is None or size < LARGE or not size:
        return np.zeros(shape, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    with write_errors(folder / "temporary files"), tempfile.TemporaryFile(dir=folder) as file:
        reserve(file, size)
        return np.memmap(file, dtype, "r+", shape=shape)


def reserve(file: BinaryIO, size: int) -> None:
    """Make a file of `size` bytes that are really there: writing to a mapped hole on a full disk kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    file.truncate(size)
