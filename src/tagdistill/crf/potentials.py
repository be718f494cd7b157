"""What the kernels read: float64, with start and end scores added to the first and last token.

With the two vectors folded in, a sentence's score is `sum_t scores[t, y_t] + sum_t transitions[y_(t-1), y_t]`, and
every kernel has two inputs instead of four. Padding repeats the last token's scores, so nothing a caller leaves there
can reach a result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tagdistill.crf.kernels import selection as choice
from tagdistill.crf.kernels.cpp import bindings as library
from tagdistill.crf.layout import Layout
from tagdistill.crf.shapes import Float, Int

NARROW = 100.0  # a spread of scores that leaves ample room in float64


@dataclass(frozen=True)
class Potentials:
    """The chain as kernels see it. `scores` and `transitions` carry the autograd graph."""

    scores: Tensor  # (batch, time, label) float64, contiguous; in padding what the last token emits
    transitions: Tensor  # (label, label) float64, [from, to]
    layout: Layout
    top: Tensor  # (batch, time, 1) largest score of each token
    spread: float | None  # bound of the difference of two scores of one token; None where nobody looked
    edge_spread: float | None  # the same of two transitions
    edge_top: float | None  # the largest transition; None where nobody looked
    compiled: bool = False  # whether the compiled kernel runs on them: it was chosen, and they are on the CPU

    @property
    def need_gradient(self) -> bool:
        return torch.is_grad_enabled() and (self.scores.requires_grad or self.transitions.requires_grad)

    def tops(self) -> Tensor:
        """(batch,) the sum of the largest scores of a sentence's tokens."""
        return (self.top * self.layout.weight).sum((1, 2))

    def relative(self, places: Tensor, out: Tensor | None = None) -> Tensor:
        """(n, label) scores less the largest of their token, at n rows of (batch * time, label)."""
        scores = torch.index_select(self.scores.view(-1, self.scores.shape[2]), 0, places, out=out)
        return scores.sub_(self.top.view(-1, 1).index_select(0, places))

    def detach(self) -> Potentials:
        if not (self.scores.requires_grad or self.transitions.requires_grad):
            return self
        return replace(self, scores=self.scores.detach(), transitions=self.transitions.detach())


def first_order(backward: Callable[..., tuple[Tensor | None, ...]]) -> Callable[..., tuple[Tensor | None, ...]]:
    """Refuse `create_graph=True`. PyTorch's own once_differentiable would return gradients without a graph instead."""

    @functools.wraps(backward)
    def checked(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "LinearChain has no second derivatives (create_graph=True). Use marginals, log_marginals or "
                "transition_marginals, which are differentiable, instead of the gradient of log_partition."
            )
        return backward(ctx, *grads)

    return checked


def _fold(emissions: Tensor, start: Tensor | None, end: Tensor | None, layout: Layout) -> Tensor:
    scores = layout.tokens(emissions.detach()).to(torch.float64)
    if start is not None:
        scores[:, 0].add_(start.detach())
    if end is not None:
        tails = end.detach().to(torch.float64).expand(layout.batch, -1)
        scores.view(-1, end.shape[0]).index_add_(0, layout.first + layout.final, tails)
    return scores


class _Fold(torch.autograd.Function):
    """Emissions, start and end scores -> the scores that kernels read, which the caller has computed."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, start: Tensor | None, end: Tensor | None, folded: tuple[Layout, bool, Tensor]
    ) -> Tensor:
        ctx.layout, ctx.compiled, scores = folded  # in a tuple, or scores would count as an input
        ctx.time, ctx.dtypes = emissions.shape[1], [None if x is None else x.dtype for x in (emissions, start, end)]
        return scores

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Kernels return 0 in padding, so no gradient has to be sent back to a last token."""
        needs = ctx.needs_input_grad[:3]
        if ctx.compiled:
            wanted = tuple(dtype if need else None for dtype, need in zip(ctx.dtypes, needs, strict=True))
            return *library.unfold(grad, ctx.layout.lengths, ctx.time, wanted), None
        emissions = start = end = None
        if needs[0]:
            emissions = pad_time(grad.to(ctx.dtypes[0]), ctx.time)
        if needs[1]:
            start = grad[:, 0].sum(0).to(ctx.dtypes[1])
        if needs[2]:
            layout = ctx.layout
            rows = grad.reshape(-1, grad.shape[2]).index_select(0, layout.first + layout.final)
            end = rows.sum(0).to(ctx.dtypes[2])
        return emissions, start, end, None


def pad_time(values: Tensor, time: int) -> Tensor:
    """(batch, shorter, label) -> (batch, time, label), with zeros."""
    missing = time - values.shape[1]
    return torch.nn.functional.pad(values, (0, 0, 0, missing)) if missing else values


def prepare(
    emissions: Float[Tensor, "batch time label"],
    transitions: Float[Tensor, "label label"],
    lengths: Int[Tensor, " batch"],
    start: Float[Tensor, " label"] | None = None,
    end: Float[Tensor, " label"] | None = None,
    *,
    check: bool | None = None,
) -> Potentials:
    """Check the inputs and bring them into the kernels' form; `check` as in LinearChain. Raises ValueError."""
    _check_shapes(emissions, transitions, lengths, start, end)
    check = not emissions.is_cuda if check is None else check
    on_gpu = emissions.is_cuda and lengths.is_cuda  # elsewhere a wrong length reads or writes what is not its own
    longest = emissions.shape[1] if on_gpu and not check else _check_lengths(lengths, emissions.shape[1])
    # Copies: the caller may write into theirs.
    layout = Layout(lengths.to(device=emissions.device, dtype=torch.int64, copy=True).contiguous(), longest)
    edges = transitions.to(torch.float64, copy=True).contiguous()
    given = (emissions, start, end)
    spreads: tuple[float, float] | None
    edge_top = None
    compiled = choice.kernel() == "compiled" and emissions.device.type == "cpu"
    if compiled:
        scores, top, spreads = library.fold(*given, edges, layout.lengths, longest)
    else:
        scores = _fold(*given, layout)
        top = scores.amax(-1, keepdim=True)
        spreads, edge_top = _spreads(scores, top, edges.detach()) if check else (None, None)
    if spreads and check:
        _check_finite(spreads)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in given):
        scores = _Fold.apply(*given, (layout, compiled, scores))
    spread, edge_spread = spreads if spreads and check else (None, None)
    return Potentials(scores, edges, layout, top, spread, edge_spread, edge_top, compiled)


def _spreads(scores: Tensor, top: Tensor, edges: Tensor) -> tuple[tuple[float, float], float]:
    """Return the spread of a token's scores (or a bound of it) and of the transitions, and the largest transition."""
    low, high, edge_low, edge_high = torch.stack([scores.amin(), top.amax(), *edges.aminmax()]).tolist()
    spread = high - low
    if spread > NARROW:  # that was over all tokens; the spread within each takes longer to find
        spread = float((top - scores.amin(-1, keepdim=True)).amax())
    return (spread, edge_high - edge_low), edge_high


def _check_finite(spreads: tuple[float, float]) -> None:
    for name, value in zip(("emissions, start and end", "transitions"), spreads, strict=True):
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected finite scores; write -1e4 for what is forbidden, not -inf")


def _check_shapes(
    emissions: Tensor, transitions: Tensor, lengths: Tensor, start: Tensor | None, end: Tensor | None
) -> None:
    if emissions.dim() != 3 or 0 in emissions.shape:
        raise ValueError(f"emissions: expected a non-empty (batch, time, label), found {tuple(emissions.shape)}")
    batch, _, labels = emissions.shape
    wanted: dict[str, tuple[Tensor | None, tuple[int, ...]]]
    wanted = {"transitions": (transitions, (labels, labels)), "lengths": (lengths, (batch,))}
    wanted |= {"start": (start, (labels,)), "end": (end, (labels,))}
    for name, (value, shape) in wanted.items():
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"{name}: expected {shape} to fit emissions, found {tuple(value.shape)}")
    for name, value in (("emissions", emissions), ("transitions", transitions), ("start", start), ("end", end)):
        if value is not None and not value.is_floating_point():
            raise ValueError(f"{name}: expected floating point, found {value.dtype}")
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths: expected integers, found {lengths.dtype}")


def _check_lengths(lengths: Tensor, time: int) -> int:
    """Return the longest length: the number of time steps to run."""
    ends = lengths.aminmax()
    low, high = torch.stack(ends).tolist() if lengths.is_cuda else map(int, ends)  # from a GPU in one transfer
    if low < 1 or high > time:
        raise ValueError(f"lengths: expected 1 to {time} (the time steps of emissions), found {low} to {high}")
    return high
