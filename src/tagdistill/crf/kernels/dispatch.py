"""From a caller's tensors to potentials and the kernel that runs them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from tagdistill.crf.autograd import Graph
from tagdistill.crf.checks import check_finite, check_lengths, check_shapes
from tagdistill.crf.errors import KernelError
from tagdistill.crf.kernels import selection
from tagdistill.crf.kernels.base import Kernel
from tagdistill.crf.layout import Layout, on_host
from tagdistill.crf.potentials import Potentials, UnaryScores


def prepare(
    emissions: Tensor,
    transitions: Tensor,
    lengths: Tensor,
    start: Tensor | None = None,
    end: Tensor | None = None,
    *,
    check: bool | None = None,
) -> Graph:
    """Check the inputs, bring them into the kernels' form and choose the kernel; arguments as in LinearChain.

    Raises ValueError as LinearChain does, and KernelError where a forced kernel does not serve the chain.
    """
    check_shapes(emissions, transitions, lengths, start, end)
    check = on_host(emissions) if check is None else check
    layout = _layout(emissions, lengths, check)
    unary, edges = UnaryScores(emissions, start, end), _copied(transitions)
    kernels = _candidates(selection.kernel(), emissions.device.type, selection.forced())
    potentials = kernels[0].fold(unary, edges, layout, measure=check)
    if check:
        check_finite(potentials)
    kernel, leaves, time = _choose(kernels, potentials), (*unary, transitions), emissions.shape[1]
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in leaves):
        return Graph(kernel, potentials, time, leaves)
    return Graph(kernel, potentials, time)


def _layout(emissions: Tensor, lengths: Tensor, check: bool) -> Layout:
    time = emissions.shape[1]
    host = on_host(emissions) or on_host(lengths)  # where a wrong length reads or writes what is not its own
    shortest, longest = check_lengths(lengths, time) if host or check else (1, time)
    # A copy: the caller may write into theirs.
    return Layout(lengths.to(device=emissions.device, dtype=torch.int64, copy=True).contiguous(), longest, shortest)


def _copied(transitions: Tensor) -> Tensor:
    return transitions.detach().to(torch.float64, copy=True, memory_format=torch.contiguous_format)


@cache
def _candidates(setting: str, device: str, forced: str | None) -> tuple[Kernel, ...]:
    """Load the kernels that may run a chain, in order of preference. The first one prepares the potentials."""
    rows = [row for row in selection.TABLE if row.name == forced] if forced else selection.rows(setting, device)
    return tuple(selection.load(row) for row in rows)


def _choose(kernels: tuple[Kernel, ...], potentials: Potentials) -> Kernel:
    for kernel in kernels:
        if kernel.serves(potentials):
            return kernel
    raise KernelError("this kernel does not serve the chain", where=selection.forced() or selection.kernel())
