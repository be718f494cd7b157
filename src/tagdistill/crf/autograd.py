"""Autograd functions: every gradient comes from the one forward-backward pass, none from a tape.

First derivatives only: `first_order` refuses a second one. An operation is a class that knows its value and gradients,
and below the classes a function that records it; those take a chain's `Graph` and its pass, and return float64 where no
dtype is asked for: a node that casts would cost a small batch as much as one that computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from tagdistill.crf.kernels.base import ForwardBackward, Kernel
from tagdistill.crf.paths import Paths
from tagdistill.crf.potentials import Potentials

Grads = tuple[Tensor | None, ...]


def first_order(backward: Callable[..., Grads]) -> Callable[..., Grads]:
    """Refuse `create_graph=True`. PyTorch's own once_differentiable would return gradients without a graph instead."""

    @functools.wraps(backward)
    def checked(ctx: Any, *grads: Tensor | None) -> Grads:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "LinearChain has no second derivatives (create_graph=True). Use marginals, log_marginals or "
                "transition_marginals, which are differentiable, instead of the gradient of log_partition."
            )
        return backward(ctx, *grads)

    return checked


class Graph(NamedTuple):
    """A chain's potentials, and what is to be recorded with the results: the caller's tensors, if there is a graph."""

    kernel: Kernel
    potentials: Potentials
    time: int  # steps of the caller's emissions
    leaves: tuple[Tensor | None, ...] = (None,) * 4  # emissions, start, end, transitions

    @property
    def needs_gradient(self) -> bool:
        """Whether results are to be recorded."""
        return torch.is_grad_enabled() and any(x is not None for x in self.leaves)


class Wanted(NamedTuple):
    """Which gradients of an operation are needed."""

    scores: bool
    transitions: bool
    others: tuple[bool, ...]  # of the further tensors of the operation


@runtime_checkable  # the tests check annotations
class Operation(Protocol):
    """A result of a chain, in float64 terms."""

    def value(self) -> Tensor:
        """Return the result, in a tensor of its own."""

    def gradients(self, grad: Tensor, wanted: Wanted) -> Grads:
        """Return the float64 gradients to scores and transitions, then those to the further tensors; None for none."""


class _Node(torch.autograd.Function):
    """An operation as a function of the caller's tensors: one node, as each costs as much as a few tokens of a pass."""

    @staticmethod
    def forward(ctx: Any, graph: Graph, operation: Operation, *tensors: Tensor | None) -> Tensor:
        ctx.kernel, ctx.layout, ctx.time = graph.kernel, graph.potentials.layout, graph.time
        ctx.operation = operation
        ctx.dtypes = [x.dtype if x is not None and x.requires_grad else None for x in tensors]
        return operation.value()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor | None) -> Grads:
        *unary, edges = ctx.dtypes[:4]
        wanted = Wanted(any(unary), edges is not None, tuple(x is not None for x in ctx.dtypes[4:]))
        scores, transitions, *others = ctx.operation.gradients(grad, wanted)
        found: Grads = (None, None, None)
        if wanted.scores:
            found = ctx.kernel.unfold(scores, ctx.layout, ctx.time, tuple(unary))
        return None, None, *found, transitions.to(edges) if wanted.transitions else None, *others


def _record(graph: Graph, operation: Operation, *others: Tensor) -> Tensor:
    result: Tensor = _Node.apply(graph, operation, *graph.leaves, *others)  # type: ignore[no-untyped-call]  # PyTorch's
    return result


class _LogPartition(NamedTuple):
    """Its gradient is the marginals and the expected transition counts."""

    passed: ForwardBackward
    dtype: torch.dtype

    def value(self) -> Tensor:
        return self.passed.log_partition.to(self.dtype, copy=True)

    def gradients(self, grad: Tensor, wanted: Wanted) -> Grads:
        grad = grad.to(torch.float64)
        scores = self.passed.weighted_marginals(grad) if wanted.scores else None
        return scores, self.passed.edge_sum(grad) if wanted.transitions else None


class _LogMarginals(NamedTuple):
    passed: ForwardBackward

    def value(self) -> Tensor:
        return self.passed.log_marginals.clone()

    def gradients(self, grad: Tensor, _wanted: Wanted) -> Grads:
        return _log_marginals_backward(self.passed, grad * self.passed.layout.weight)


class _Marginals(NamedTuple):
    passed: ForwardBackward

    def value(self) -> Tensor:
        return self.passed.marginals.clone()

    def gradients(self, grad: Tensor, _wanted: Wanted) -> Grads:
        return _log_marginals_backward(self.passed, grad * self.passed.marginals)


def _log_marginals_backward(passed: ForwardBackward, grad: Tensor) -> tuple[Tensor, Tensor]:
    # log marginal = a + b - log Z
    scores, transitions = passed.adjoint(grad, grad)
    total = grad.sum((1, 2))
    scores -= passed.weighted_marginals(total)
    return scores, transitions - passed.edge_sum(total)


class _TransitionMarginals(NamedTuple):
    passed: ForwardBackward

    def value(self) -> Tensor:
        return self.passed.edges.clone()

    def gradients(self, grad: Tensor, _wanted: Wanted) -> Grads:
        return self.passed.pair_adjoint(grad)


class _PathLogProb(NamedTuple):
    passed: ForwardBackward
    path: Paths
    dtype: torch.dtype

    def value(self) -> Tensor:
        return (self.path.score(self.passed.potentials) - self.passed.log_partition[:, None]).to(self.dtype)

    def gradients(self, grad: Tensor, wanted: Wanted) -> Grads:
        passed, path, grad = self.passed, self.path, grad.to(torch.float64)
        total = grad.sum(1).neg_()
        scores = path.add_unary(passed.weighted_marginals(total), grad) if wanted.scores else None
        transitions = path.edge_sum(grad).add_(passed.edge_sum(total)) if wanted.transitions else None
        return scores, transitions


class _ExpectedLogProb(NamedTuple):
    passed: ForwardBackward
    unary: Tensor
    edges: Tensor

    def value(self) -> Tensor:
        chain = self.passed.potentials
        labels = (self.unary * chain.scores).sum((1, 2))
        return labels + (self.edges * chain.transitions).sum((1, 2)) - self.passed.log_partition

    def gradients(self, grad: Tensor, wanted: Wanted) -> Grads:
        passed, chain, column = self.passed, self.passed.potentials, grad[:, None, None]
        d_scores = (self.unary - passed.marginals) * column if wanted.scores else None
        d_transitions = (self.edges * column).sum(0) - passed.edge_sum(grad) if wanted.transitions else None
        d_unary = chain.scores * column if wanted.others[0] else None
        d_edges = chain.transitions * column if wanted.others[1] else None
        return d_scores, d_transitions, d_unary, d_edges


class _PosteriorCrossEntropy:
    """With p the targets at T and q the marginals to the power 1/T, normalised in each token.

    The gradient is that of the loss at T = 1 with the signed targets T (p - q) held constant.
    """

    def __init__(
        self, passed: ForwardBackward, log_target: Tensor, temperature: float, dtype: torch.dtype, *, recorded: bool
    ) -> None:
        self.dtype, self.temperature = dtype, temperature
        self.loss, self.adjoint = passed.posterior_cross_entropy(log_target, temperature, with_adjoint=recorded)

    def value(self) -> Tensor:
        return self.loss.to(self.dtype, copy=True)

    def gradients(self, grad: Tensor, _wanted: Wanted) -> Grads:
        weight = grad.to(torch.float64)
        assert self.adjoint is not None  # made where anything is recorded
        return self.adjoint(weight if self.temperature == 1.0 else weight * self.temperature)


def log_partition(graph: Graph, dtype: torch.dtype, passed: ForwardBackward) -> Tensor:
    """Return log Z (batch,), of this dtype."""
    return _record(graph, _LogPartition(passed, dtype))


def marginals(graph: Graph, passed: ForwardBackward) -> Tensor:
    """Return the marginals (batch, time, label), 0 in padding."""
    return _record(graph, _Marginals(passed))


def log_marginals(graph: Graph, passed: ForwardBackward) -> Tensor:
    """Return the log-marginals (batch, time, label), 0 in padding."""
    return _record(graph, _LogMarginals(passed))


def transition_marginals(graph: Graph, passed: ForwardBackward) -> Tensor:
    """Return the expected transition counts (batch, from, to)."""
    return _record(graph, _TransitionMarginals(passed))


def path_log_prob(graph: Graph, path: Paths, dtype: torch.dtype, passed: ForwardBackward) -> Tensor:
    """Return the log-probabilities (batch, k) of paths, of this dtype, with one log Z for all of them."""
    return _record(graph, _PathLogProb(passed, path, dtype))


def expected_log_prob(graph: Graph, unary: Tensor, edges: Tensor, passed: ForwardBackward) -> Tensor:
    """Return `sum_y w(y) log p(y)` (batch,) of weights w that sum to 1 in each sentence.

    unary: (batch, time, label), edges: (batch, from, to), both float64: the expected counts of w; with gradients too.
    """
    return _record(graph, _ExpectedLogProb(passed, unary.detach(), edges.detach()), unary, edges)


def posterior_cross_entropy(
    graph: Graph, log_target: Tensor, temperature: float, dtype: torch.dtype, passed: ForwardBackward
) -> Tensor:
    """Return `-T^2 sum_t sum_j p_t(j) log q_t(j)` (batch,) as `ForwardBackward.posterior_cross_entropy` defines it."""
    recorded = graph.needs_gradient
    return _record(graph, _PosteriorCrossEntropy(passed, log_target, temperature, dtype, recorded=recorded))
