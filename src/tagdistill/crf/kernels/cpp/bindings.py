"""The functions of the compiled kernel (source/interface.cpp) as Python sees them."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tagdistill.crf.errors import KernelError
from tagdistill.crf.kernels.cpp.build import build

Pointer, Integer = ctypes.c_void_p, ctypes.c_int64
# Made once: ctypes makes a new type of every `c_double * 2`, in a cycle that only the garbage collector frees.
Doubles, Integers = ctypes.c_double * 2, ctypes.c_int64 * 2
SINGLE = {None, torch.float32}


class Chain(ctypes.Structure):
    """struct Chain of chain.h; whoever makes one keeps its tensors alive."""

    _fields_ = (
        *((name, Pointer) for name in ("scores", "top", "transitions", "lengths")),
        *((name, Integer) for name in ("batch", "time", "labels", "threads")),
    )


class Inputs(ctypes.Structure):
    """struct Inputs and struct Outputs of inputs.h."""

    _fields_ = (
        *((name, Pointer) for name in ("emissions", "start", "end")),
        ("given", Integer),
        ("is_float", Integer),
    )


class Targets(ctypes.Structure):
    """struct Targets of inputs.h."""

    _fields_ = (("logits", Pointer), ("given", Integer), ("is_float", Integer), ("temperature", ctypes.c_double))


class Gradients(ctypes.Structure):
    """struct Gradients of inputs.h."""

    _fields_ = (("scores", Pointer), ("edges", Pointer))


class Paths(ctypes.Structure):
    """struct Paths of paths.h."""

    _fields_ = (("labels", Pointer), ("k", Integer), ("given", Integer))


ARGUMENTS: dict[str, list[Any]] = {
    "fold": [Pointer, Pointer, Pointer, Pointer, Pointer],
    "unfold": [Pointer, Pointer, Pointer],
    "path_range": [Pointer, Pointer, Pointer],
    "path_scores": [Pointer, Pointer, Pointer],
    "path_counts": [Pointer, Pointer, Pointer, Pointer],
    "path_edges": [Pointer, Pointer, Pointer, Pointer],
    "log_partition": [Pointer, Pointer],
    "forward_backward": [Pointer, Pointer, Pointer],
    "marginals": [Pointer, Pointer, Pointer, Pointer, Integer, Pointer],
    "log_marginals": [Pointer, Pointer, Pointer],
    "edges": [Pointer, Pointer, Pointer],
    "edge_sum": [Pointer, Pointer, Pointer, Pointer],
    "pairs": [Pointer, Pointer, Integer, Integer, Pointer],
    "adjoint": [Pointer, Pointer, Pointer, Pointer, Pointer, Pointer],
    "posterior": [Pointer, Pointer, Pointer, Pointer, Pointer, Pointer],
    "weigh": [Pointer, Pointer, Pointer, Pointer, Pointer],
    "argmax": [Pointer, Pointer],
    "k_best": [Pointer, Integer, Pointer, Pointer],
}


@cache
def load() -> dict[str, Any]:
    """Return the functions by name, from a library that is built if need be. Raises KernelError where it cannot."""
    path = build()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelError(
            f"cannot be loaded: {error}",
            where=str(path),
            hint="Delete it: it is built again. Or set TAGDISTILL_CACHE to a folder that programs may be loaded from.",
        ) from None
    functions = {}
    for name, arguments in ARGUMENTS.items():
        functions[name] = getattr(library, f"tagdistill_{name}")
        functions[name].argtypes = arguments
        functions[name].errcheck = _check
    functions["state_size"] = library.tagdistill_state_size
    functions["state_size"].argtypes, functions["state_size"].restype = [Pointer], Integer
    return functions


def _check(result: int, _function: Any, _arguments: Any) -> None:
    if result:
        raise MemoryError("the compiled kernel had no memory left")


def kind(*dtypes: torch.dtype | None) -> torch.dtype:
    """float32 where all are, else float64: what the C++ side reads and writes."""
    return torch.float32 if SINGLE.issuperset(dtypes) else torch.float64


def plain(values: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Contiguous values of this dtype, outside of graphs: the tensor itself where it is that, as calls cost time."""
    if values.dtype is dtype and values.is_contiguous():
        return values
    return values.detach().to(dtype).contiguous()


def fold(
    emissions: Tensor, start: Tensor | None, end: Tensor | None, edges: Tensor, lengths: Tensor, time: int
) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Return `Potentials.scores`, `.top` and the spreads: NaN or infinite where a score is not finite."""
    batch, given, labels = emissions.shape
    tensors = (emissions, start, end)
    dtype = kind(*[x if x is None else x.dtype for x in tensors])
    values = [x if x is None else plain(x, dtype) for x in tensors]
    scores, top = edges.new_empty((batch, time, labels)), edges.new_empty((batch, time, 1))
    inputs = Inputs(*[x if x is None else x.data_ptr() for x in values], given, dtype is torch.float32)
    chain = Chain(None, None, edges.data_ptr(), lengths.data_ptr(), batch, time, labels, torch.get_num_threads())
    spreads = Doubles()
    load()["fold"](ctypes.byref(inputs), ctypes.byref(chain), scores.data_ptr(), top.data_ptr(), spreads)
    return scores, top, tuple(spreads)


def unfold(
    grad: Tensor, lengths: Tensor, time: int, wanted: tuple[torch.dtype | None, ...]
) -> tuple[Tensor | None, ...]:
    """Return gradients to emissions (batch, time, label), start and end, of the dtypes wanted; None for none."""
    grad, dtype = plain(grad), kind(*wanted)
    batch, steps, labels = grad.shape
    shapes = ((batch, time, labels), (labels,), (labels,))
    pairs = zip(shapes, wanted, strict=True)
    out = [None if want is None else grad.new_empty(shape, dtype=dtype) for shape, want in pairs]
    outputs = Inputs(*[x if x is None else x.data_ptr() for x in out], time, dtype is torch.float32)
    chain = Chain(None, None, None, lengths.data_ptr(), batch, steps, labels, torch.get_num_threads())
    load()["unfold"](ctypes.byref(outputs), ctypes.byref(chain), grad.data_ptr())
    return tuple([x if x is None or want is dtype else x.to(want) for x, want in zip(out, wanted, strict=True)])
