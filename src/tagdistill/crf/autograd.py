"""Autograd functions: every gradient comes from the one forward-backward pass, none from a tape.

First derivatives only: `first_order` refuses a second one. Each function is a class for PyTorch, and below the classes
a Python function that annotates it; those take a chain's `Graph` and its pass, and return float64 where no dtype is
asked for: a node that casts would cost a small batch as much as one that computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.kernels.base import ForwardBackward, Kernel
from tagdistill.crf.layout import Layout
from tagdistill.crf.paths import Paths
from tagdistill.crf.potentials import UnaryScores

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


class _Function(torch.autograd.Function):
    """A function of one result, with an annotated `apply`."""

    @classmethod
    def of(cls, *arguments: Any) -> Tensor:
        """Return the result, in the graph of the arguments."""
        result: Tensor = cls.apply(*arguments)  # type: ignore[no-untyped-call]  # PyTorch does not annotate it
        return result


class Graph(NamedTuple):
    """The float64 scores of a chain (batch, time, label) and its transitions, in the graph of the caller's tensors."""

    scores: Tensor
    transitions: Tensor

    @property
    def needs_gradient(self) -> bool:
        """Whether results are to be recorded."""
        return torch.is_grad_enabled() and (self.scores.requires_grad or self.transitions.requires_grad)


class Folding(NamedTuple):
    """The context of `fold`: in a tuple, because a tensor on its own would count as an input."""

    kernel: Kernel
    layout: Layout
    made: Graph  # what the kernel reads, without a graph


class _Fold(_Function):
    """A caller's four tensors -> the scores and transitions that kernels read, which have been computed already."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, start: Tensor | None, end: Tensor | None, transitions: Tensor, folding: Folding
    ) -> tuple[Tensor, Tensor]:
        ctx.kernel, ctx.layout, made = folding
        ctx.time = emissions.shape[1]
        ctx.dtypes = [None if x is None else x.dtype for x in (emissions, start, end, transitions)]
        needs = (any(ctx.needs_input_grad[:3]), ctx.needs_input_grad[3])
        ctx.mark_non_differentiable(*(x for x, needed in zip(made, needs, strict=True) if not needed))
        ctx.set_materialize_grads(False)
        return made.scores, made.transitions

    @staticmethod
    @first_order
    def backward(ctx: Any, scores: Tensor | None, transitions: Tensor | None) -> Grads:
        needs = zip(ctx.dtypes, ctx.needs_input_grad[:4], strict=True)
        *unary, edges = (dtype if needed else None for dtype, needed in needs)
        found: Grads = (None, None, None)
        if scores is not None and any(unary):
            found = ctx.kernel.unfold(scores, ctx.layout, ctx.time, tuple(unary))
        return *found, None if transitions is None else transitions.to(edges), None


class _LogPartition(_Function):
    """Its gradient is the marginals and the expected transition counts."""

    @staticmethod
    def forward(ctx: Any, _scores: Tensor, _transitions: Tensor, dtype: torch.dtype, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.log_partition.to(dtype, copy=True)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        passed, grad = ctx.passed, grad.to(torch.float64)
        scores = passed.weighted_marginals(grad) if ctx.needs_input_grad[0] else None
        transitions = passed.edge_sum(grad) if ctx.needs_input_grad[1] else None
        return scores, transitions, None, None


class _LogMarginals(_Function):
    @staticmethod
    def forward(ctx: Any, _scores: Tensor, _transitions: Tensor, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.log_marginals.clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        grad = grad * ctx.passed.layout.weight
        return *_log_marginals_backward(ctx.passed, grad), None


class _Marginals(_Function):
    @staticmethod
    def forward(ctx: Any, _scores: Tensor, _transitions: Tensor, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.marginals.clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        return *_log_marginals_backward(ctx.passed, grad * ctx.passed.marginals), None


def _log_marginals_backward(passed: ForwardBackward, grad: Tensor) -> tuple[Tensor, Tensor]:
    # log marginal = a + b - log Z
    scores, transitions = passed.adjoint(grad, grad)
    total = grad.sum((1, 2))
    scores -= passed.weighted_marginals(total)
    return scores, transitions - passed.edge_sum(total)


class _TransitionMarginals(_Function):
    @staticmethod
    def forward(ctx: Any, _scores: Tensor, _transitions: Tensor, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.edges.clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        return *ctx.passed.pair_adjoint(grad), None


class _PathLogProb(_Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, transitions: Tensor, path: Paths, dtype: torch.dtype, passed: ForwardBackward
    ) -> Tensor:
        ctx.passed, ctx.path = passed, path
        return (path.score(scores, transitions) - passed.log_partition[:, None]).to(dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        grad = grad.to(torch.float64)
        passed, path, total = ctx.passed, ctx.path, -grad.sum(1)
        scores = transitions = None
        if ctx.needs_input_grad[0]:
            scores = path.add_unary(passed.weighted_marginals(total), grad)
        if ctx.needs_input_grad[1]:
            transitions = path.edge_sum(grad).add_(passed.edge_sum(total))
        return scores, transitions, None, None, None


class _ExpectedLogProb(_Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, transitions: Tensor, unary: Tensor, edges: Tensor, passed: ForwardBackward
    ) -> Tensor:
        ctx.passed = passed
        ctx.save_for_backward(scores, transitions, unary, edges)
        return (unary * scores).sum((1, 2)) + (edges * transitions).sum((1, 2)) - passed.log_partition

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        scores, transitions, unary, edges = ctx.saved_tensors
        needs, passed, column = ctx.needs_input_grad, ctx.passed, grad[:, None, None]
        d_scores = (unary - passed.marginals) * column if needs[0] else None
        d_transitions = (edges * column).sum(0) - passed.edge_sum(grad) if needs[1] else None
        d_unary = scores * column if needs[2] else None
        d_edges = transitions * column if needs[3] else None
        return d_scores, d_transitions, d_unary, d_edges, None


class _PosteriorCrossEntropy(_Function):
    """With p the targets at T and q the marginals to the power 1/T, normalised in each token.

    The gradient is that of the loss at T = 1 with the signed targets T (p - q) held constant.
    """

    @staticmethod
    def forward(
        ctx: Any,
        _scores: Tensor,
        _transitions: Tensor,
        log_target: Tensor,
        temperature: float,
        dtype: torch.dtype,
        passed: ForwardBackward,
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad[:2])
        loss, ctx.adjoint = passed.posterior_cross_entropy(log_target, temperature, with_adjoint=wanted)
        ctx.temperature = temperature
        return loss.to(dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        weight = grad.to(torch.float64)
        if ctx.temperature != 1.0:
            weight = weight * ctx.temperature
        return *ctx.adjoint(weight), None, None, None, None


def fold(unary: UnaryScores, transitions: Tensor, folding: Folding) -> Graph:
    """Return `folding.made` in the graph of the caller's tensors."""
    return Graph(*_Fold.apply(*unary, transitions, folding))  # type: ignore[no-untyped-call]


def log_partition(graph: Graph, dtype: torch.dtype, passed: ForwardBackward) -> Tensor:
    """Return log Z (batch,), of this dtype."""
    return _LogPartition.of(*graph, dtype, passed)


def marginals(graph: Graph, passed: ForwardBackward) -> Tensor:
    """Return the marginals (batch, time, label), 0 in padding."""
    return _Marginals.of(*graph, passed)


def log_marginals(graph: Graph, passed: ForwardBackward) -> Tensor:
    """Return the log-marginals (batch, time, label), 0 in padding."""
    return _LogMarginals.of(*graph, passed)


def transition_marginals(graph: Graph, passed: ForwardBackward) -> Tensor:
    """Return the expected transition counts (batch, from, to)."""
    return _TransitionMarginals.of(*graph, passed)


def path_log_prob(graph: Graph, path: Paths, dtype: torch.dtype, passed: ForwardBackward) -> Tensor:
    """Return the log-probabilities (batch, k) of paths, of this dtype, with one log Z for all of them."""
    return _PathLogProb.of(*graph, path, dtype, passed)


def expected_log_prob(graph: Graph, unary: Tensor, edges: Tensor, passed: ForwardBackward) -> Tensor:
    """Return `sum_y w(y) log p(y)` (batch,) of weights w that sum to 1 in each sentence.

    unary: (batch, time, label), edges: (batch, from, to), both float64: the expected counts of w; with gradients too.
    """
    return _ExpectedLogProb.of(*graph, unary, edges, passed)


def posterior_cross_entropy(
    graph: Graph, log_target: Tensor, temperature: float, dtype: torch.dtype, passed: ForwardBackward
) -> Tensor:
    """Return `-T^2 sum_t sum_j p_t(j) log q_t(j)` (batch,) as `ForwardBackward.posterior_cross_entropy` defines it."""
    return _PosteriorCrossEntropy.of(*graph, log_target, temperature, dtype, passed)
