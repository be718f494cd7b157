"""What a kernel provides: the operations on a chain, and the results of a forward-backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf.kernels import k_best, viterbi
from tagdistill.crf.layout import Layout
from tagdistill.crf.paths import Paths, find_cells
from tagdistill.crf.potentials import Potentials, UnaryScores, fold, unfold

Adjoint = Callable[[Tensor], tuple[Tensor, Tensor]]  # weight (batch,) -> gradients to scores and transitions
FEW_LABELS = 16  # PyTorch's softmax of a row that does not fill a vector of the CPU is several times slower


class Kernel(ABC):
    """One implementation of everything that is asked of a chain. It has no state.

    `serves` and `forward_backward` are all that a kernel on the CPU needs. All tensors are outside of autograd graphs.
    """

    def build(self) -> None:  # noqa: B027 (most kernels have nothing to build)
        """Make the kernel ready, where that takes long; raise KernelError where it is impossible."""

    def fold(self, unary: UnaryScores, transitions: Tensor, layout: Layout, *, measure: bool) -> Potentials:
        """Return the potentials of unary scores and (label, label) float64 transitions.

        measure: with the spreads, which are NaN or infinite where a score is not finite.
        """
        return fold(unary, transitions, layout, measure=measure)

    def unfold(
        self, grad: Tensor, layout: Layout, time: int, dtypes: tuple[torch.dtype | None, ...]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients to emissions (batch, time, label), start and end from the one to `Potentials.scores`.

        dtypes: of the three results; None where one is not needed.
        """
        return unfold(grad, layout, time, dtypes)

    @abstractmethod
    def serves(self, potentials: Potentials) -> bool:
        """Return whether the kernel is exact for these potentials and runs on their device."""

    @abstractmethod
    def forward_backward(self, potentials: Potentials) -> ForwardBackward:
        """Run the forward-backward pass."""

    def log_partition(self, potentials: Potentials) -> Tensor:
        """Return log Z (batch,) alone, where half the steps of a full pass do."""
        return self.forward_backward(potentials).log_partition

    def argmax(self, potentials: Potentials) -> Tensor:
        """Return the best labels (batch, time), 0 in padding."""
        return viterbi.argmax(potentials)

    def k_best(self, potentials: Potentials, k: int) -> tuple[Tensor, Tensor]:
        """Return the k best paths (batch, k, time) and their unnormalised scores (batch, k), best first.

        Labels are 0 in padding and in empty slots, where the score is -inf.
        """
        return k_best.k_best(potentials, k)

    def paths(self, potentials: Potentials, labels: Tensor) -> Paths:
        """Return label paths (batch, k, time or more); raise ValueError for a label outside the chain's."""
        return find_cells(labels, potentials.layout, len(potentials.transitions))


class ForwardBackward(ABC):
    """Float64 results of one pass, without an autograd graph; (batch, time, label), 0 in padding.

    With a_t(j) the log-sum of all beginnings that end in label j at token t (its score included), b_t(j) that of all
    endings after it: log marginal = a + b - log Z.
    """

    log_partition: Tensor  # (batch,)

    def __init__(self, potentials: Potentials) -> None:
        self.potentials = potentials
        self.layout = potentials.layout

    @cached_property
    @abstractmethod
    def marginals(self) -> Tensor:
        """Probabilities."""

    def marginals_in(self, dtype: torch.dtype) -> Tensor:
        """Marginals of this dtype, in a tensor of its own."""
        return self.marginals.to(dtype, copy=True)

    def weighted_marginals(self, weight: Tensor) -> Tensor:
        """Marginals times weight (batch,), in a tensor of its own."""
        return self.marginals * weight[:, None, None]

    @cached_property
    @abstractmethod
    def raw_log_marginals(self) -> Tensor:
        """Log-probabilities; any finite value in padding."""

    @cached_property
    def log_marginals(self) -> Tensor:
        """Log-probabilities."""
        return self.raw_log_marginals * self.layout.weight

    def posterior_cross_entropy(
        self, log_target: Tensor, temperature: float, *, with_adjoint: bool
    ) -> tuple[Tensor, Adjoint | None]:
        """Return `-temperature^2 sum_t sum_j p_t(j) log q_t(j)` (batch,) and its adjoint, None where it is not wanted.

        The adjoint finds the gradients of `sum weight * loss / temperature`.
        p is softmax(log_target / temperature), log_target (batch, time or more, label) of any floating dtype; q is the
        marginals to the power 1 / temperature, normalised in each token.
        """
        target = self._softmax(self.layout.tokens(log_target), temperature).mul_(self.layout.weight)
        tempered = self._tempered(self.raw_log_marginals, temperature)
        loss = torch.linalg.vecdot(target.flatten(1), tempered.flatten(1)) * -(temperature * temperature)
        if not with_adjoint:
            return loss, None
        marginals = self.marginals if temperature == 1.0 else tempered.exp().mul_(self.layout.weight)
        signed = marginals - target

        def adjoint(weight: Tensor) -> tuple[Tensor, Tensor]:
            # Signed targets sum to 0 in each token, so log Z has no share in them.
            weighted = signed * weight[:, None, None]
            return self.adjoint(weighted, weighted)

        return loss, adjoint

    @staticmethod
    def _tempered(log_marginals: Tensor, temperature: float) -> Tensor:
        """Log of the marginals to the power 1 / temperature, normalised."""
        if temperature == 1.0:
            return log_marginals
        tempered = log_marginals / temperature
        top = tempered.amax(-1, keepdim=True)  # log_softmax, whose own float64 kernel is slow
        return tempered.sub_((tempered - top).exp_().sum(-1, keepdim=True).log_().add_(top))

    @staticmethod
    def _softmax(logits: Tensor, temperature: float) -> Tensor:
        """softmax(logits / temperature), float64. With many labels a single or half precision one is float32 first."""
        if logits.shape[-1] >= FEW_LABELS:
            rows = logits.to(torch.promote_types(logits.dtype, torch.float32))
            rows = rows if temperature == 1.0 else rows / temperature
            return rows.softmax(-1).to(torch.float64)
        rows = logits.to(torch.float64, copy=True)
        if temperature != 1.0:
            rows /= temperature
        rows.sub_(rows.amax(-1, keepdim=True)).exp_()
        return rows.div_(rows.sum(-1, keepdim=True))

    @abstractmethod
    def pairs(self, first: int, stop: int) -> Tensor:
        """(batch, stop - first, from, to) probabilities of the labels of tokens t and t + 1, for first <= t < stop."""

    @cached_property
    @abstractmethod
    def edges(self) -> Tensor:
        """(batch, from, to) expected transition counts."""

    @abstractmethod
    def edge_sum(self, weight: Tensor) -> Tensor:
        """(from, to) sum of `edges` over sentences, with weight (batch,)."""

    @abstractmethod
    def adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of `sum before * a + sum after * b` to scores and transitions.

        before, after: (batch, time, label), contiguous, 0 in padding. log Z is no part of it.
        """

    def pair_adjoint(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of `sum weight * edges` to scores and transitions; weight (batch, from, to)."""
        # d p_t(i, j) = p_t(i, j) (d a_t(i) + d transitions(i, j) + d scores_(t+1)(j) + d b_(t+1)(j) - d log Z)
        before, after = torch.zeros_like(self.marginals), torch.zeros_like(self.marginals)
        for first, stop in self._chunks():
            weighted = self.pairs(first, stop) * weight[:, None]
            before[:, first:stop] = weighted.sum(3)
            after[:, first + 1 : stop + 1] = weighted.sum(2)
        total = (weight * self.edges).sum((1, 2))
        scores, transitions = self.adjoint(before, after)
        scores += after - total[:, None, None] * self.marginals
        return scores, transitions + (weight * self.edges).sum(0) - self.edge_sum(total)

    def _chunks(self, cells: int = 1 << 20) -> list[tuple[int, int]]:
        """Pieces of the token pairs whose (batch, time, from, to) tables stay small."""
        pairs, labels = self.layout.time - 1, len(self.potentials.transitions)
        size = max(1, cells // (self.layout.batch * labels * labels))
        return [(t, min(t + size, pairs)) for t in range(0, pairs, size)]
