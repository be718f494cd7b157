"""The operations of a loop over time, each on a small array: NumPy's on the CPU.

Its products cost what PyTorch's do; its views, look-ups of rows and arg maxima cost a third or less.

The loops are written once: arrays of either kind have the same names for all else that they use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tagdistill.crf.layout import on_host

Array = Any  # what `Arrays.view` returns
Into = Callable[[Array, Array, Array], Any]  # of two arrays, written to the third, which may be one of them


class Arrays(NamedTuple):
    """One kind of array, and what loops do with it. The last argument of an operation is where the result goes."""

    view: Callable[[Tensor], Array]  # the same memory as an array
    matmul: Into  # not into one of the two
    multiply: Into
    divide: Into
    add: Into
    sum_rows: Callable[[Array, Array], Any]  # over the last axis, which stays
    top_of_first: Callable[[Array, Array], Any]  # the largest over the first axis
    argmax_rows: Callable[[Array, Array], Any]  # over the last axis; among equal ones the first
    take_rows: Into  # of a table the rows at the indices; all are in its range


HOST = Arrays(
    view=Tensor.numpy,
    matmul=np.matmul,
    multiply=np.multiply,
    divide=np.divide,
    add=np.add,
    sum_rows=lambda x, out: np.add.reduce(x, -1, out=out, keepdims=True),
    top_of_first=lambda x, out: np.maximum.reduce(x, 0, out=out),
    argmax_rows=lambda x, out: x.argmax(-1, out),
    take_rows=lambda table, index, out: table.take(index, 0, out, "clip"),  # the default mode buffers the result
)
DEVICE = Arrays(
    view=lambda x: x,
    matmul=lambda a, b, out: torch.matmul(a, b, out=out),
    multiply=lambda a, b, out: torch.mul(a, b, out=out),
    divide=lambda a, b, out: torch.div(a, b, out=out),
    add=lambda a, b, out: torch.add(a, b, out=out),
    sum_rows=lambda x, out: torch.sum(x, -1, keepdim=True, out=out),
    top_of_first=lambda x, out: torch.amax(x, 0, out=out),
    argmax_rows=lambda x, out: torch.argmax(x, -1, out=out),
    take_rows=lambda table, index, out: torch.index_select(table, 0, index, out=out),
)


def arrays_of(tensor: Tensor) -> Arrays:
    """Return the kind of array for loops on the device of a tensor."""
    return HOST if on_host(tensor) else DEVICE
