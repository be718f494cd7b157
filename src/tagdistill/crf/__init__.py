"""Exact inference and distillation losses for linear-chain CRFs, batched, in PyTorch.

Importing this package does not import PyTorch: what needs it is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tagdistill.crf.errors import KernelError, NonFiniteScores
from tagdistill.crf.kernels.selection import KERNELS, kernel, use_kernel

if TYPE_CHECKING:
    from tagdistill.crf.chain import LinearChain, TopK
    from tagdistill.crf.paths import PathCounts, count

__all__ = [
    "KERNELS",
    "KernelError",
    "LinearChain",
    "NonFiniteScores",
    "PathCounts",
    "TopK",
    "count",
    "kernel",
    "use_kernel",
]

_MODULES = {"LinearChain": "chain", "TopK": "chain", "PathCounts": "paths", "count": "paths"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
