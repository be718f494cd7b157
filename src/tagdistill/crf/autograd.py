"""Autograd functions: every gradient comes from the one forward-backward pass, none from a tape.

All take the float64 `scores` and `transitions` of a chain. First derivatives only: `first_order` refuses
a second one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tagdistill.crf import paths
from tagdistill.crf.kernels.base import ForwardBackward
from tagdistill.crf.potentials import first_order

Grads = tuple[Tensor | None, ...]


class LogPartition(torch.autograd.Function):
    """log Z (batch,); its gradient is the marginals and the expected transition counts."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.log_partition.clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        passed = ctx.passed
        scores = passed.weighted_marginals(grad) if ctx.needs_input_grad[0] else None
        transitions = passed.edge_sum(grad) if ctx.needs_input_grad[1] else None
        return scores, transitions, None


class LogMarginals(torch.autograd.Function):
    """log-marginals (batch, time, label), 0 in padding."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.log_marginals.clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        grad = grad * ctx.passed.layout.weight
        return *_log_marginals_backward(ctx.passed, grad), None


class Marginals(torch.autograd.Function):
    """marginals (batch, time, label), 0 in padding."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, passed: ForwardBackward) -> Tensor:
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


class Edges(torch.autograd.Function):
    """Expected transition counts (batch, from, to)."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, passed: ForwardBackward) -> Tensor:
        ctx.passed = passed
        return passed.edges.clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        return *ctx.passed.pair_adjoint(grad), None


class PathLogProb(torch.autograd.Function):
    """Log-probabilities (batch, k) of given paths, with one log Z for all of them."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, transitions: Tensor, path: paths.Paths, passed: ForwardBackward) -> Tensor:
        ctx.passed, ctx.path = passed, path
        return path.score(scores, transitions) - passed.log_partition[:, None]

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        passed, total = ctx.passed, -grad.sum(1)
        scores = transitions = None
        if ctx.needs_input_grad[0]:
            scores = ctx.path.add_unary(passed.weighted_marginals(total), grad)
        if ctx.needs_input_grad[1]:
            transitions = ctx.path.edge_sum(grad)
            transitions += passed.edge_sum(total)
        return scores, transitions, None, None


class ExpectedLogProb(torch.autograd.Function):
    """`sum_y w(y) log p(y)` (batch,) from the expected counts of weights w that sum to 1 in each sentence."""

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


class PosteriorCrossEntropy(torch.autograd.Function):
    """`-T^2 sum_t sum_j p_t(j) log q_t(j)` (batch,), p the targets at T, q the marginals to the power 1/T, normalised.

    Its gradient is that of the loss at T = 1 with the signed targets T (p - q) held constant.
    """

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, transitions: Tensor, log_target: Tensor, heat: float, passed: ForwardBackward
    ) -> Tensor:
        loss, signed = passed.posterior_cross_entropy(log_target, heat)
        ctx.passed, ctx.heat = passed, heat
        ctx.save_for_backward(signed)
        return loss

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> Grads:
        (signed,) = ctx.saved_tensors
        return *ctx.passed.posterior_adjoint(signed, grad * ctx.heat), None, None, None
