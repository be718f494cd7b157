"""Forward-backward in log space: for potentials that do not fit into the range of float64.

Slower than `scaled` (one exponential per pair of labels), exact for any finite input: every exponent is at most 0 and
the largest of each sum is 0. Same two stacked directions, same names; all arrays hold logarithms.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf.kernels.base import ForwardBackward, Kernel
from tagdistill.crf.kernels.rows import Rows
from tagdistill.crf.potentials import Potentials


class _Scan:
    """The two scans, (2, rows, label)."""

    def __init__(self, potentials: Potentials, rows: Rows) -> None:
        edge, time = potentials.transitions, potentials.layout.time
        self.rows, self.edges = rows, torch.stack([edge, edge.t()])[:, None]
        places = torch.cat([rows.sources(time), rows.sources_from_end(time)])
        # Without the best score of each token sums of many stay small, and lose fewer digits.
        self.state = potentials.relative(places).view(2, -1, len(edge))
        self.raw = torch.zeros_like(self.state)
        raw, state = rows.each(self.raw), rows.each(self.state)
        for before, out, after in zip(rows.before(state), raw[1:], state[1:], strict=True):
            torch.logsumexp(before[..., None] + self.edges, 2, out=out)
            after.add_(out)


def _log_partition(potentials: Potentials) -> Tensor:
    """Compute log Z by scans from both ends that meet in mid-sentence, at the last row of direction 0."""
    layout = potentials.layout
    rows = Rows(layout, len(potentials.transitions), layout.time // 2 + 1, lambda lengths: lengths // 2 + 1)
    scan, left = _Scan(potentials, rows), rows.final // 2
    first = scan.state[0].index_select(0, rows.at(left))
    joint = first + scan.raw[1].index_select(0, rows.at(rows.final - left))
    return rows.by_sentence(joint.logsumexp(-1)) + potentials.tops()


class _LogSpacePass(ForwardBackward):
    """The pass in log space."""

    def __init__(self, potentials: Potentials) -> None:
        super().__init__(potentials)
        self.rows = Rows(self.layout, len(potentials.transitions), self.layout.time)
        self.scan = _Scan(potentials, self.rows)
        state, raw = self.scan.state, self.scan.raw
        self.ending = self.rows.spread(state[1].index_select(0, self.rows.turned))
        self.joint = self.rows.spread(raw[0]).add_(self.ending)
        self.total = self.joint.logsumexp(-1, keepdim=True)
        self.log_partition = self.total[:, 0, 0] + potentials.tops()

    @cached_property
    def raw_log_marginals(self) -> Tensor:
        return self.joint - self.total

    @cached_property
    def marginals(self) -> Tensor:
        return self.raw_log_marginals.exp() * self.layout.weight

    def pairs(self, first: int, stop: int) -> Tensor:
        before = self.rows.spread(self.scan.state[0])[:, first:stop, :, None]
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
        rows, turned = self.rows, self.rows.turned
        flow = torch.stack([rows.gather(before), rows.gather(after).index_select(0, turned).mul_(rows.weight)])
        outer = torch.zeros_like(self.scan.edges[:, 0])
        each = [rows.each(x) for x in (flow, self.scan.raw)]
        starts = [rows.before(rows.each(x)) for x in (flow, self.scan.state)]
        for late, raw, early, state in reversed(list(zip(*(x[1:] for x in each), *starts, strict=True))):
            # The shares of the labels at t in the sum for each label at t + 1.
            share = (state[..., None] + self.scan.edges - raw[:, :, None]).exp_().mul_(late[:, :, None])
            early += share.sum(3)
            outer += share.sum(1)
        scores = flow[1].index_select(0, turned).add_(flow[0])
        return rows.spread_tokens(scores).sub_(after), outer[0] + outer[1].t()


class _LogSpaceKernel(Kernel):
    """The kernel in log space."""

    def serves(self, _potentials: Potentials) -> bool:
        return True

    def forward_backward(self, potentials: Potentials) -> _LogSpacePass:
        return _LogSpacePass(potentials)

    def log_partition(self, potentials: Potentials) -> Tensor:
        return _log_partition(potentials)


KERNEL = _LogSpaceKernel()
