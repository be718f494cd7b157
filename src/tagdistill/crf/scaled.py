"""Forward-backward in probability space: float64 state, rescaled every few tokens.

Both directions run in one loop, the second over the sentences turned around, so a token costs one `bmm` and one
multiplication. No mask is needed inside: what lies past a sentence's end is computed and never read.

Scan arrays are (time, 2, batch, label). `raw[t]` is the sum over the previous labels, `state[t]` is raw times the
token's own factor, divided by the scale at rescaling steps. Marginals and edges divide by their own sum, so scales
cancel in them.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf.forward_backward import ForwardBackward, middle
from tagdistill.crf.potentials import Potentials

RESCALE = 32  # tokens between two rescalings, where the range allows it
RANGE = 650.0  # float64 holds exp(-708): products in this range lose nothing


def rescale_interval(potentials: Potentials) -> int:
    """Return how many tokens may pass between rescalings, 0 where this kernel is not exact.

    Nothing can underflow while the spread of one token's scores and of the transitions stays in the range of float64:
    from the best label at t any label at t + 1 can be reached at the cost of both. Forbidden transitions (-10000) do
    not fit: what underflowed might be needed later. Nor does what nobody looked at (`check` of LinearChain).
    """
    if potentials.spread is None or potentials.edge_spread is None:
        return 0
    room = RANGE - potentials.spread - 2.0 * math.log(len(potentials.transitions))
    return max(0, min(RESCALE, int(room / (2.0 * potentials.edge_spread + 1e-9)) - 1))


class Scan:
    """The two stacked scans over the first `steps` tokens from either end."""

    def __init__(self, potentials: Potentials, every: int, steps: int, *, keep: bool = True) -> None:
        layout, labels = potentials.layout, len(potentials.transitions)
        self.every = every
        self.edge_top = potentials.transitions.max()
        self.matrix = (potentials.transitions - self.edge_top).exp_()
        rows = layout.stacked[: steps * 2 * layout.batch]
        scores, top = potentials.scores.view(-1, labels), potentials.top.view(-1, 1)
        if keep:
            factors = (scores - top).exp_().index_select(0, rows)
        else:  # each token is in one direction only, and memory is the cost
            factors = scores.index_select(0, rows).sub_(top.index_select(0, rows)).exp_()
        self.state = factors.view(steps, 2, layout.batch, labels)
        # All of `raw` is kept for a full pass; one row of it serves a half pass.
        self.raw = torch.empty_like(self.state if keep else self.state[:1])
        self.raw[0] = 1.0
        self.scale = scores.new_ones((1 + (steps - 1) // every, 2, layout.batch, 1))
        self._run(steps)

    def _run(self, steps: int) -> None:
        matrix = torch.stack([self.matrix, self.matrix.t()])
        state, scale, every = self.state.unbind(0), self.scale.unbind(0), self.every
        raw = self.raw.expand_as(self.state).unbind(0)
        for t in range(1, steps):
            torch.bmm(state[t - 1], matrix, out=raw[t])
            state[t].mul_(raw[t])
            if t % every == 0:
                torch.sum(state[t], 2, keepdim=True, out=scale[t // every])
                state[t].div_(scale[t // every])

    def log_scale(self, rows: Tensor) -> Tensor:
        """Log of all scales divided out of state up to rows (2, batch), both directions together."""
        if len(self.scale) == 1:
            return torch.zeros_like(self.scale[0, 0, :, 0])
        total = self.scale[..., 0].log().cumsum(0)
        return total.gather(0, (rows // self.every)[None])[0].sum(0)

    def log_shift(self, potentials: Potentials) -> Tensor:
        """What was taken off the scores before exponentiating, per sentence."""
        layout = potentials.layout
        return (potentials.top * layout.weight).sum((1, 2)) + (layout.lengths - 1) * self.edge_top


def log_partition(potentials: Potentials, every: int) -> Tensor:
    """log Z by scans from both ends that meet in the middle of each sentence."""
    steps, left, right = middle(potentials)
    scan = Scan(potentials, every, steps, keep=False)
    rows = torch.stack([left, (right - 1).clamp_min(0)])
    places = rows * (2 * len(left)) + torch.arange(2 * len(left), device=left.device).view(2, -1)
    ends = scan.state.view(-1, scan.state.shape[3]).index_select(0, places.view(-1)).view(2, len(left), -1)
    joint = torch.linalg.vecdot(ends[0] @ scan.matrix, ends[1])
    joint = torch.where(right > 0, joint, ends[0].sum(-1))  # one token: there is no rest
    return joint.log() + scan.log_scale(rows) + scan.log_shift(potentials)


class Scaled(ForwardBackward):
    """The pass in probability space. `every` comes from `rescale_interval`."""

    def __init__(self, potentials: Potentials, every: int) -> None:
        super().__init__(potentials)
        layout = self.layout
        self.scan = scan = Scan(potentials, every, layout.time)
        self.ending = layout.from_end(scan.state)  # a token's own score and all that follows
        self.product = layout.from_start(scan.raw).mul_(self.ending)
        self.total = self.product.sum(-1, keepdim=True)
        first = self.total[:, 0, 0].log()
        rows = torch.stack([torch.zeros_like(layout.lengths), layout.lengths - 1])
        self.log_partition = first + scan.log_scale(rows) + scan.log_shift(potentials)

    @cached_property
    def _share(self) -> Tensor:
        return self.layout.weight / self.total

    @cached_property
    def marginals(self) -> Tensor:
        return self.product * self._share

    def weighted_marginals(self, weight: Tensor) -> Tensor:
        return self.product * (self._share * weight[:, None, None])

    @cached_property
    def raw_log_marginals(self) -> Tensor:
        return (self.product / self.total).log_()

    @cached_property
    def _beginning(self) -> Tensor:
        return self.layout.from_start(self.scan.state)

    def _ending_share(self, weight: Tensor | None = None) -> Tensor:
        """The endings after a first token, over their total: times `_beginning` and the matrix, pair marginals."""
        share = self._share if weight is None else self._share * weight[:, None, None]
        return self.ending * share

    def pairs(self, first: int, stop: int) -> Tensor:
        ending = self._ending_share()[:, first + 1 : stop + 1, None, :]
        return self._beginning[:, first:stop, :, None] * self.scan.matrix * ending

    @cached_property
    def edges(self) -> Tensor:
        after = self._ending_share()[:, 1:]
        return torch.bmm(self._beginning[:, :-1].transpose(1, 2), after).mul_(self.scan.matrix)

    def edge_sum(self, weight: Tensor) -> Tensor:
        after = self._ending_share(weight).transpose(0, 1)[1:]
        before = self.scan.state[:-1, 0].transpose(1, 2)
        return torch.bmm(before, after).sum(0).mul_(self.scan.matrix)

    def adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        # With h = (gradient to log state) / raw, either direction is
        # h[t] = given[t] / raw[t] + factor[t] * (M h[t + 1]), and factor = state / raw holds token and scale.
        raw, state, layout = self.scan.raw, self.scan.state, self.layout
        flow = layout.both(before, after).div_(raw)
        self._run_adjoint(flow, state / raw)
        outer = torch.matmul(state[:-1].transpose(2, 3), flow[1:]).sum(0)
        flow *= raw
        scores = layout.from_start(flow).add_(layout.from_end(flow)).sub_(after)
        return scores, (outer[0] + outer[1].t()) * self.scan.matrix

    def _run_adjoint(self, flow: Tensor, factor: Tensor) -> None:
        matrix = torch.stack([self.scan.matrix.t(), self.scan.matrix])
        rows, factors, step = flow.unbind(0), factor.unbind(0), torch.empty_like(flow[0])
        for t in range(len(rows) - 2, -1, -1):
            torch.bmm(rows[t + 1], matrix, out=step)
            rows[t].addcmul_(factors[t], step)
