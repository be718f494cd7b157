"""The compiled kernel's functions (cpp/interface.cpp) as Python sees them."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tagdistill.crf.build import build
from tagdistill.errors import TagdistillError

Pointer, Integer = ctypes.c_void_p, ctypes.c_int64


class Chain(ctypes.Structure):
    """struct Chain of chain.h; whoever makes one keeps its tensors alive."""

    _fields_ = (
        *((name, Pointer) for name in ("scores", "top", "transitions", "lengths")),
        *((name, Integer) for name in ("batch", "time", "labels", "threads")),
    )


class Inputs(ctypes.Structure):
    """struct Inputs of inputs.h."""

    _fields_ = (
        *((name, Pointer) for name in ("emissions", "start", "end")),
        ("given", Integer),
        ("is_float", Integer),
    )


class Targets(ctypes.Structure):
    """struct Targets of inputs.h."""

    _fields_ = (("logits", Pointer), ("given", Integer), ("is_float", Integer), ("heat", ctypes.c_double))


ARGUMENTS: dict[str, list[Any]] = {
    "fold": [ctypes.POINTER(Inputs), Pointer, Pointer, Pointer, Pointer],
    "log_partition": [Pointer, Pointer],
    "forward_backward": [Pointer, Pointer, Pointer],
    "marginals": [Pointer, Pointer, Pointer, Pointer],
    "edges": [Pointer, Pointer, Pointer],
    "edge_sum": [Pointer, Pointer, Pointer, Pointer],
    "pairs": [Pointer, Pointer, Integer, Integer, Pointer],
    "adjoint": [Pointer, Pointer, Pointer, Pointer, Pointer, Pointer],
    "posterior": [Pointer, Pointer, Pointer, Pointer, Pointer],
    "argmax": [Pointer, Pointer],
    "k_best": [Pointer, Integer, Pointer, Pointer],
}


@cache
def load() -> dict[str, Any]:
    """Return the functions by name, from a library that is built if need be. Raises TagdistillError where it cannot."""
    path = build()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise TagdistillError(
            f"cannot be loaded: {error}", where=str(path), hint="Delete it: it is built anew."
        ) from None
    found = {}
    for name, arguments in ARGUMENTS.items():
        found[name] = getattr(library, f"tagdistill_{name}")
        found[name].argtypes = arguments
        found[name].errcheck = _check
    found["state_size"] = library.tagdistill_state_size
    found["state_size"].argtypes, found["state_size"].restype = [Pointer], Integer
    return found


def _check(result: int, function: Any, arguments: Any) -> None:
    if result:
        raise MemoryError("the compiled kernel had no memory, or no thread, left")


def fold(
    emissions: Tensor, start: Tensor | None, end: Tensor | None, edges: Tensor, lengths: Tensor, time: int
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Return `Potentials.scores`, `.top` and the spreads: NaN or infinite where a score is not finite."""
    batch, given, labels = emissions.shape
    kind = torch.float32 if emissions.dtype == torch.float32 else torch.float64
    values = [None if x is None else x.detach().to(kind).contiguous() for x in (emissions, start, end)]
    scores = edges.new_empty((batch, time, labels), requires_grad=False)
    top = edges.new_empty((batch, time, 1))
    inputs = Inputs(*(None if x is None else x.data_ptr() for x in values), given, kind == torch.float32)
    chain = Chain(None, None, edges.data_ptr(), lengths.data_ptr(), batch, time, labels, torch.get_num_threads())
    spreads = (ctypes.c_double * 2)()
    load()["fold"](ctypes.byref(inputs), ctypes.byref(chain), scores.data_ptr(), top.data_ptr(), spreads)
    return scores, top, tuple(spreads)
