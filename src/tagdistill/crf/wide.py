"""Forward-backward in log space: for potentials that do not fit into the range of float64.

Slower than `scaled` (one exponential per pair of labels), exact for any finite input: every exponent is at most 0 and
the largest of each sum is 0. Same two stacked directions, same names; all arrays hold logarithms.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf.forward_backward import ForwardBackward, middle
from tagdistill.crf.potentials import Potentials


class Scan:
    """The two stacked scans over the first `steps` tokens from either end; (steps, 2, batch, label)."""

    def __init__(self, potentials: Potentials, steps: int) -> None:
        layout, edge = potentials.layout, potentials.transitions
        self.edges = torch.stack([edge, edge.t()])[:, None]
        rows = layout.stacked[: steps * 2 * layout.batch]
        scores = potentials.scores.view(-1, len(edge))
        self.state = scores.index_select(0, rows).view(steps, 2, layout.batch, len(edge))
        self.raw = torch.zeros_like(self.state)
        raw, state = self.raw.unbind(0), self.state.unbind(0)
        for t in range(1, steps):
            torch.logsumexp(state[t - 1][..., None] + self.edges, 2, out=raw[t])
            state[t].add_(raw[t])

    def weights(self, t: int) -> Tensor:
        """(2, batch, from, to) shares of the labels at t in the sum for each label at t + 1."""
        return (self.state[t][..., None] + self.edges - self.raw[t + 1][:, :, None]).exp_()


def log_partition(potentials: Potentials) -> Tensor:
    """log Z by scans from both ends that meet in the middle of each sentence."""
    steps, left, right = middle(potentials)
    scan = Scan(potentials, steps)
    sentence = torch.arange(len(left), device=left.device)
    return (scan.state[left, 0, sentence] + scan.raw[right, 1, sentence]).logsumexp(-1)


class Wide(ForwardBackward):
    """The pass in log space."""

    def __init__(self, potentials: Potentials) -> None:
        super().__init__(potentials)
        self.scan = Scan(potentials, self.layout.time)
        self.ending = self.layout.from_end(self.scan.state)
        self.joint = self.layout.from_start(self.scan.raw).add_(self.ending)
        self.total = self.joint.logsumexp(-1, keepdim=True)
        self.log_partition = self.total[:, 0, 0]

    @cached_property
    def raw_log_marginals(self) -> Tensor:
        return self.joint - self.total

    @cached_property
    def marginals(self) -> Tensor:
        return self.raw_log_marginals.exp() * self.layout.weight

    def pairs(self, first: int, stop: int) -> Tensor:
        before = self.layout.from_start(self.scan.state)[:, first:stop, :, None]
        ending = (self.ending - self.total)[:, first + 1 : stop + 1, None, :]
        log = before + self.potentials.transitions + ending
        return log.masked_fill_(~self.layout.mask[:, first + 1 : stop + 1, None, None], -torch.inf).exp_()

    @cached_property
    def edges(self) -> Tensor:
        labels = len(self.potentials.transitions)
        total = self.total.new_zeros((self.layout.batch, labels, labels))
        for first, stop in self._chunks():
            total += self.pairs(first, stop).sum(1)
        return total

    def edge_sum(self, weight: Tensor) -> Tensor:
        return (self.edges * weight[:, None, None]).sum(0)

    def adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        flow = self.layout.both(before, after)
        outer = torch.zeros_like(self.scan.edges[:, 0])
        for t in range(self.layout.time - 2, -1, -1):
            step = self.scan.weights(t).mul_(flow[t + 1][:, :, None])
            flow[t] += step.sum(3)
            outer += step.sum(1)
        scores = self.layout.from_start(flow).add_(self.layout.from_end(flow)).sub_(after)
        return scores, outer[0] + outer[1].t()
