"""Which kernels there are, and which of them may run a chain. Nothing here needs PyTorch.

The kernels agree, but not to the bit: a result depends on the setting `kernel`.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from tagdistill.crf.errors import KernelError

if TYPE_CHECKING:
    from tagdistill.crf.kernels.base import Kernel

KERNELS = ("torch", "compiled")  # the settings
VARIABLE = "TAGDISTILL_KERNEL"


@dataclass(frozen=True)
class Row:
    """A kernel: its module is imported only where the device and the setting are the kernel's."""

    name: str
    module: str  # has the kernel as KERNEL
    device: str | None = None  # the type of device that it is for; None: any
    setting: str | None = None  # the setting that it needs; None: any


# In order of preference: the first that serves a chain runs it. The last one serves every chain.
TABLE = (
    Row("triton", "tagdistill.crf.kernels.triton.kernel", device="cuda"),
    Row("cpp", "tagdistill.crf.kernels.cpp.kernel", device="cpu", setting="compiled"),
    Row("scaled", "tagdistill.crf.kernels.scaled"),
    Row("log_space", "tagdistill.crf.kernels.log_space"),
)

_chosen: str | None = None
_forced: str | None = None


def rows(setting: str, device: str | None = None) -> tuple[Row, ...]:
    """Return the rows of `TABLE` for a setting and a type of device (None: any), in order.

    Raises KernelError for an unknown setting.
    """
    _check(setting, KERNELS, "kernel")
    return tuple(row for row in TABLE if row.setting in (None, setting) and device in (None, row.device or device))


def modules(setting: str) -> tuple[str, ...]:
    """Return the names of the modules that chains may load under the setting `kernel`, for a key of a job's code.

    Raises KernelError for an unknown setting.

    Examples:
        >>> "tagdistill.crf.kernels.cpp.kernel" in modules("torch")
        False
    """
    return tuple(row.module for row in rows(setting))


def load(row: Row) -> Kernel:
    """Import a row's module and return its kernel."""
    loaded: Kernel = importlib.import_module(row.module).KERNEL
    return loaded


def kernel() -> str:
    """Return the kernel in use: what `use_kernel` chose, else the variable TAGDISTILL_KERNEL, else "torch".

    Raises KernelError where the variable names none of `KERNELS`.

    Examples:
        >>> with use_kernel("torch"):
        ...     kernel()
        'torch'
    """
    if _chosen is not None:
        return _chosen
    return _check(os.environ.get(VARIABLE) or KERNELS[0], KERNELS, VARIABLE)


class use_kernel:
    """Choose the kernel of all chains on the CPU: `use_kernel("compiled")`, or `with use_kernel("compiled"):`.

    The choice holds for the whole process, threads included; a chain keeps the kernel that it was made with. "compiled"
    is built at its first use. Chains on a GPU never take it.

    Args:
        name: one of `KERNELS`: "torch" (PyTorch's operations) or "compiled" (C++, built by this machine's compiler).

    Raises:
        KernelError: for another name, or where the kernel cannot be built.

    Examples:
        >>> import torch
        >>> from tagdistill.crf import LinearChain
        >>> with use_kernel("torch"):
        ...     chain = LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3]))
        >>> chain.log_partition.exp()  # 2 labels on 3 tokens
        tensor([8.])
    """

    def __init__(self, name: str) -> None:
        global _chosen
        _check(name, KERNELS, "use_kernel")
        for row in TABLE:
            if row.setting == name:
                load(row).build()
        self._before, _chosen = _chosen, name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _chosen
        _chosen = self._before


@contextmanager
def force_kernel(name: str) -> Iterator[None]:
    """Run all chains that are made in the block with one row of `TABLE`, for tests and measurements.

    Neither the setting nor the device counts. Raises KernelError for an unknown name; so does a chain that the kernel
    does not serve.

    Examples:
        >>> import torch
        >>> from tagdistill.crf import LinearChain
        >>> with force_kernel("log_space"):
        ...     chain = LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3]))
    """
    global _forced
    _check(name, [row.name for row in TABLE], "force_kernel")
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


def forced() -> str | None:
    """Return the name of the kernel that `force_kernel` asks for."""
    return _forced


def _check(name: str, known: Collection[str], where: str) -> str:
    if name not in known:
        close = difflib.get_close_matches(name.casefold(), known, n=1)
        start = f"Did you mean {close[0]!r}? " if close else ""
        hint = f"{start}Known: {', '.join(sorted(known))}."
        raise KernelError(f"there is no kernel {name!r}", where=where, hint=hint)
    return name
