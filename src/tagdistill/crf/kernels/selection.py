"""Which kernel computes on the CPU: PyTorch's operations, or the compiled one. They agree, but not to the bit."""

from __future__ import annotations

import os
from types import TracebackType

from tagdistill.errors import TagdistillError, nearest

KERNELS = ("torch", "compiled")
VARIABLE = "TAGDISTILL_KERNEL"


def _checked(name: str, where: str) -> str:
    if name not in KERNELS:
        raise TagdistillError(f"there is no kernel {name!r}", where=where, hint=nearest(name, KERNELS))
    return name


_chosen: str | None = None


def kernel() -> str:
    """Return the kernel in use: what `use_kernel` chose, else TAGDISTILL_KERNEL, else torch."""
    if _chosen is not None:
        return _chosen
    return _checked(os.environ.get(VARIABLE) or KERNELS[0], VARIABLE)


class use_kernel:
    """Choose the kernel of all chains on the CPU: `use_kernel("compiled")`, or `with use_kernel("compiled"):`.

    The choice holds for the whole process, threads included. "compiled" is built at its first use; raises
    TagdistillError where that fails. Chains on a GPU never take it.
    """

    def __init__(self, name: str) -> None:
        global _chosen
        if _checked(name, "use_kernel") == "compiled":
            from tagdistill.crf.kernels.cpp import bindings as library

            library.load()
        self._before, _chosen = _chosen, name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _chosen
        _chosen = self._before
