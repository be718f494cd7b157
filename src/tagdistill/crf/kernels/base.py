"""What a forward-backward kernel provides: all that the rest of this package asks of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf.potentials import Potentials


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

    def posterior_cross_entropy(self, log_target: Tensor, heat: float) -> tuple[Tensor, Tensor]:
        """Return `-heat^2 sum_t sum_j p_t(j) log q_t(j)` (batch,) and q - p, for `posterior_adjoint`.

        q - p is (batch, time, label) here; a kernel that overrides both methods may keep it in a form of its own.
        p is softmax(log_target / heat), log_target (batch, time or more, label) of any floating dtype; q is the
        marginals to the power 1 / heat, normalised in each token.
        """
        target = self._softmax(self.layout.tokens(log_target), heat).mul_(self.layout.weight)
        tempered = self._tempered(self.raw_log_marginals, heat)
        loss = torch.linalg.vecdot(target.flatten(1), tempered.flatten(1)) * -(heat * heat)
        found = self.marginals if heat == 1.0 else tempered.exp().mul_(self.layout.weight)
        return loss, found - target

    def posterior_adjoint(self, signed: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of `sum weight * loss / heat` to scores and transitions.

        loss, signed: from `posterior_cross_entropy`; weight: (batch,).
        """
        # Signed targets sum to 0 in each token, so log Z has no share in them.
        given = signed * weight[:, None, None]
        return self.adjoint(given, given)

    @staticmethod
    def _tempered(log_found: Tensor, heat: float) -> Tensor:
        """Log of the marginals to the power 1 / heat, normalised."""
        if heat == 1.0:
            return log_found
        tempered = log_found / heat
        top = tempered.amax(-1, keepdim=True)  # log_softmax, whose own float64 kernel is slow
        return tempered.sub_((tempered - top).exp_().sum(-1, keepdim=True).log_().add_(top))

    @staticmethod
    def _softmax(logits: Tensor, heat: float) -> Tensor:
        """softmax(logits / heat), float64. That of half precision is done in float32."""
        rows = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if heat != 1.0:
            rows = rows / heat
        return rows.softmax(-1).to(torch.float64)

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
