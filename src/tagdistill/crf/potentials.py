"""What the kernels read: float64, time-major, with start and end scores added to the first and last token.

With the two vectors folded in, a sentence's score is `sum_t scores[t, y_t] + sum_t transitions[y_(t-1), y_t]`, and
every kernel has two inputs instead of four. Padding is 0, so nothing a caller leaves there can reach a result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tagdistill.crf.shapes import Float, Int


@dataclass(frozen=True)
class Layout:
    """Where the tokens are: time-major positions, and the rows that hold a sentence's tokens in reverse order."""

    lengths: Tensor  # (batch,)
    mask: Tensor  # (time, batch), True on tokens
    last: Tensor  # (batch,) row of the last token in a (time * batch, label) view
    reverse: Tensor  # (time * batch,) row of the token as far from the end as this one is from the start

    @classmethod
    def of(cls, lengths: Tensor, time: int) -> Layout:
        batch = lengths.shape[0]
        sentence = torch.arange(batch, device=lengths.device)
        position = torch.arange(time, device=lengths.device)[:, None]
        reverse = (lengths - 1 - position).clamp_min_(0) * batch + sentence
        return cls(lengths, position < lengths, (lengths - 1) * batch + sentence, reverse.view(-1))

    @property
    def time(self) -> int:
        return self.mask.shape[0]

    @property
    def batch(self) -> int:
        return self.mask.shape[1]

    def backwards(self, values: Tensor) -> Tensor:
        """Turn the tokens of each sentence around, (time, batch, label); rows past the end are arbitrary."""
        return values.reshape(-1, values.shape[-1]).index_select(0, self.reverse).view(values.shape)


@dataclass(frozen=True)
class Potentials:
    """The chain as kernels see it. `scores` and `transitions` carry the autograd graph."""

    scores: Tensor  # (time, batch, label) float64, 0 in padding
    transitions: Tensor  # (label, label) float64, [from, to]
    layout: Layout
    top: Tensor  # (time, batch, 1) largest score of each token
    spread: float | None  # largest difference of two scores of one token; None where the host cannot see it
    edge_spread: float | None  # the same of two transitions

    @property
    def need_gradient(self) -> bool:
        return torch.is_grad_enabled() and (self.scores.requires_grad or self.transitions.requires_grad)

    def detach(self) -> Potentials:
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


class _Fold(torch.autograd.Function):
    """Emissions, start and end scores -> time-major float64 scores."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, start: Tensor | None, end: Tensor | None, layout: Layout) -> Tensor:
        time, batch, labels = layout.time, layout.batch, emissions.shape[2]
        scores = torch.empty((time, batch, labels), dtype=torch.float64, device=emissions.device)
        scores.copy_(emissions[:, :time].transpose(0, 1)).masked_fill_(~layout.mask[..., None], 0.0)
        if start is not None:
            scores[0] += start
        if end is not None:
            scores.view(-1, labels).index_add_(0, layout.last, end.to(torch.float64).expand(batch, labels))
        ctx.layout, ctx.time, ctx.dtype = layout, emissions.shape[1], emissions.dtype
        ctx.vectors = [None if v is None else v.dtype for v in (start, end)]
        return scores

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        emissions = start = end = None
        if ctx.needs_input_grad[0]:
            shape = (grad.shape[1], ctx.time, grad.shape[2])
            new = torch.empty if ctx.time == grad.shape[0] else torch.zeros
            emissions = new(shape, dtype=ctx.dtype, device=grad.device)
            emissions[:, : grad.shape[0]].copy_(grad.transpose(0, 1))
        if ctx.needs_input_grad[1]:
            start = grad[0].sum(0).to(ctx.vectors[0])
        if ctx.needs_input_grad[2]:
            rows = grad.reshape(-1, grad.shape[2]).index_select(0, ctx.layout.last)
            end = rows.sum(0).to(ctx.vectors[1])
        return emissions, start, end, None


def prepare(
    emissions: Float[Tensor, "batch time label"],
    transitions: Float[Tensor, "label label"],
    lengths: Int[Tensor, " batch"],
    start: Float[Tensor, " label"] | None,
    end: Float[Tensor, " label"] | None,
) -> Potentials:
    """Check the inputs and bring them into the kernels' form.

    What the host can see is checked: everything on a CPU; shapes and dtypes alone on a GPU, where reading a value would
    stall the queue. Raises ValueError.
    """
    _check_shapes(emissions, transitions, lengths, start, end)
    longest = _check_lengths(lengths, emissions.shape[1])
    layout = Layout.of(lengths.to(device=emissions.device, dtype=torch.int64), longest)
    scores = _Fold.apply(emissions, start, end, layout)
    low, high = scores.detach().aminmax(dim=-1, keepdim=True)
    if scores.is_cuda:
        return Potentials(scores, transitions.to(torch.float64), layout, high, None, None)
    spread = _finite_spread("emissions, start and end", (high - low).amax())
    edge_spread = _finite_spread("transitions", transitions.detach().amax() - transitions.detach().amin())
    return Potentials(scores, transitions.to(torch.float64), layout, high, spread, edge_spread)


def _finite_spread(name: str, spread: Tensor) -> float:
    found = float(spread)
    if not math.isfinite(found):
        raise ValueError(f"{name}: expected finite scores; write -1e4 for what is forbidden, not -inf")
    return found


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
    """Return the number of time steps to run: the longest length where the host can read it."""
    if lengths.is_cuda:
        return time
    low, high = (int(v) for v in lengths.aminmax())
    if low < 1 or high > time:
        raise ValueError(f"lengths: expected 1 to {time} (the time steps of emissions), found {low} to {high}")
    return high
