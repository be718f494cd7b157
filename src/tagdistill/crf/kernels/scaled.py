"""Forward-backward in probability space: float64 state, rescaled every few tokens.

Both directions run in one loop, the second over the sentences turned around, so a token costs one `bmm` and one
multiplication; rows.py says where a token's rows are. With `raw` the sum over the previous labels, `state` is raw times
the token's own factor, which at rescaling steps is divided by the scale. Marginals and edges divide by their own sum,
so scales cancel in them.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf.kernels.arrays import Array, Arrays, arrays_of
from tagdistill.crf.kernels.base import Adjoint, ForwardBackward, Kernel
from tagdistill.crf.kernels.rows import Rows
from tagdistill.crf.potentials import Potentials

MAX_INTERVAL = 40  # tokens between two rescalings, where the range allows it
SAFE_EXPONENT = 650.0  # float64 holds exp(-708): products in this range lose nothing


def rescale_interval(potentials: Potentials) -> int:
    """Return how many tokens may pass between rescalings, 0 where this kernel is not exact.

    Nothing can underflow while the spread of one token's scores and of the transitions stays in the range of float64:
    from the best label at t any label at t + 1 can be reached at the cost of both. Forbidden transitions (-10000) do
    not fit: what underflowed might be needed later. Nor does what nobody looked at (`check` of LinearChain).
    Sums over labels may grow by their number at each token, and a token's own factors are divided by such a sum.
    """
    if potentials.spread is None or potentials.edge_spread is None:
        return 0
    growth = math.log(len(potentials.transitions))
    room = SAFE_EXPONENT - potentials.spread - 2.0 * growth
    return max(0, min(MAX_INTERVAL, int(room / (max(2.0 * potentials.edge_spread, growth) + 1e-9)) - 1))


class _Scan:
    """The two scans, (2, rows, label). `state` begins as the tokens' own factors; `factors`: a copy, or the same."""

    def __init__(self, potentials: Potentials, rows: Rows, every: int, factors: Tensor, state: Tensor) -> None:
        self.rows, self.every, self.factors, self.state = rows, every, factors, state
        top = potentials.edge_top
        self.edge_top = float(potentials.transitions.amax()) if top is None else top
        self.matrix = (potentials.transitions - self.edge_top).exp_()
        rescaled = (rows.longest - 1) // every
        self.scale = state.new_ones((1 + rescaled, 2, potentials.layout.batch, 1)) if rescaled else None
        self._run()

    @property
    def arrays(self) -> Arrays:
        """The kind of array of the loops; not kept, as a chain can be pickled."""
        return arrays_of(self.state)

    def _run(self) -> None:
        rows, arrays = self.rows, self.arrays
        view, matmul, multiply = arrays.view, arrays.matmul, arrays.multiply
        state, matrix = rows.each(view(self.state)), view(torch.stack([self.matrix, self.matrix.t()]))
        steps = zip(rows.before(state), self.scratch()[1:], state[1:], strict=True)
        scales = None if self.scale is None else view(self.scale)
        for t, (before, raw, after) in enumerate(steps, 1):
            matmul(before, matrix, raw)
            multiply(after, raw, after)
            if scales is not None and t % self.every == 0:
                scale = scales[t // self.every, :, : after.shape[1]]
                arrays.sum_rows(after, scale)
                arrays.divide(after, scale, after)
        if self.scale is not None and self.factors is not self.state:
            for factor, scale in zip(rows.each(self.factors)[:: self.every], self.scale, strict=True):
                factor.div_(scale[:, : factor.shape[1]])

    def scratch(self) -> list[Array]:
        """Room for the result of each step."""
        space = self.state.new_empty((2, self.rows.layout.batch, self.state.shape[2]))
        return self.rows.scratch(self.arrays.view(space))

    def log_partition(self, joint: Tensor, steps: tuple[Tensor | None, Tensor], potentials: Potentials) -> Tensor:
        """Return log Z (batch,) from what is left of it after scaling (batch,), by place.

        steps: (batch,) that it has come to in either direction; None where that is the first one.
        """
        log = joint.log()
        if self.scale is not None:
            total = self.scale[..., 0].log().cumsum(0).unbind(1)
            for direction, step in zip(total, steps, strict=True):
                if step is not None:
                    log += direction.gather(0, (step // self.every)[None])[0]
        shift = potentials.tops().add_(potentials.layout.final, alpha=self.edge_top)
        return self.rows.by_sentence(log).add_(shift)


@torch.inference_mode()
def _log_partition(potentials: Potentials, every: int) -> Tensor:
    """Compute log Z by scans from both ends that meet in mid-sentence, at the last row of direction 0."""
    layout = potentials.layout
    rows = Rows(layout, len(potentials.transitions), (layout.time + 1) // 2, lambda lengths: (lengths + 1) // 2)
    factors = _half_factors(potentials, rows)
    scan = _Scan(potentials, rows, every, factors, factors)
    left = rows.final >> 1
    right = (rows.final - 1) >> 1  # -1 for one token, which has no other half
    if layout.shortest == 1:
        right.clamp_min_(0)
    first, second = (scan.state[d].index_select(0, rows.at(step)) for d, step in enumerate((left, right)))
    joint = torch.linalg.vecdot(first @ scan.matrix, second)
    if layout.shortest == 1:
        joint = torch.where(rows.final > 0, joint, first.sum(-1))
    return scan.log_partition(joint, (left, right), potentials)


def _half_factors(potentials: Potentials, rows: Rows) -> Tensor:
    """(2, rows, label), where the rows of both directions together are those of all tokens."""
    time, labels = potentials.layout.time, len(potentials.transitions)
    if rows.order is not None:
        places = torch.cat([rows.sources(time), rows.sources_from_end(time)])
        return potentials.relative(places).exp_().view(2, -1, labels)
    whole = potentials.relative_by_step(potentials.scores.new_empty((time * potentials.layout.batch, labels))).exp_()
    factors = whole.new_empty((2, rows.count, labels))
    factors[0].copy_(whole[: rows.count])
    torch.index_select(whole, 0, potentials.layout.turned.view(-1)[: rows.count], out=factors[1])
    return factors


class _ScaledPass(ForwardBackward):
    """The pass in probability space. `every` comes from `rescale_interval`. What is kept of tokens is (rows, label)."""

    @torch.inference_mode()
    def __init__(self, potentials: Potentials, every: int) -> None:
        super().__init__(potentials)
        layout = self.layout
        self.rows = rows = Rows(layout, len(potentials.transitions), layout.time)
        factors = self._factors()
        self.scan = scan = _Scan(potentials, rows, every, factors, factors.clone())
        self.ending = scan.state[1].index_select(0, rows.turned)  # a token's own score and all that follows
        product = (scan.state[0] / factors[0]).mul_(self.ending)
        self.total = product.sum(-1, keepdim=True)
        self.row_marginals = product.div_(self.total)
        first = self.total[: layout.batch, 0]
        self.log_partition = scan.log_partition(first, (None, rows.final), potentials)

    def _factors(self) -> Tensor:
        potentials, rows = self.potentials, self.rows
        factors = potentials.scores.new_empty((2, rows.count, len(potentials.transitions)))
        forward, backward = factors.unbind(0)
        if rows.order is None:
            potentials.relative_by_step(forward).exp_()
        else:
            potentials.relative(rows.sources(self.layout.time), out=forward).exp_()
        torch.index_select(forward, 0, rows.turned, out=backward)
        return factors

    @cached_property
    def marginals(self) -> Tensor:
        return self.marginals_in(torch.float64)

    def marginals_in(self, dtype: torch.dtype) -> Tensor:
        return self.rows.spread_tokens(self.row_marginals, dtype=dtype)

    def weighted_marginals(self, weight: Tensor) -> Tensor:
        return self.rows.spread_tokens(self.row_marginals, weight)

    def _ending_share(self, weight: Tensor) -> Tensor:
        """The endings over their total, times weight (rows, 1): times beginnings and the matrix, pair marginals."""
        return self.ending * (weight / self.total)

    @cached_property
    def raw_log_marginals(self) -> Tensor:
        return self.rows.spread(self.row_marginals.log())

    def posterior_cross_entropy(
        self, log_target: Tensor, temperature: float, *, with_adjoint: bool
    ) -> tuple[Tensor, Adjoint | None]:
        places = self.rows.sources(log_target.shape[1])
        target = self._softmax(log_target.reshape(-1, log_target.shape[2]).index_select(0, places), temperature)
        tempered = self._tempered(self.row_marginals.log(), temperature)
        each = torch.linalg.vecdot(target, tempered)[:, None]
        loss = self.rows.spread_tokens(each).sum((1, 2)) * -(temperature * temperature)
        if not with_adjoint:
            return loss, None
        marginals = self.row_marginals if temperature == 1.0 else tempered.exp()
        signed = marginals - target

        def adjoint(weight: Tensor) -> tuple[Tensor, Tensor]:
            weighted = signed * self.rows.weighted(weight)
            return self._adjoint(weighted, weighted)

        return loss, adjoint

    @cached_property
    def _beginning_and_end(self) -> tuple[Tensor, Tensor]:
        """`state` and `_ending_share` of tokens (batch, time, label)."""
        ending = self.rows.spread(self._ending_share(self.rows.weight)).mul_(self.layout.weight)
        return self.rows.spread(self.scan.state[0]), ending

    def pairs(self, first: int, stop: int) -> Tensor:
        beginning, ending = self._beginning_and_end
        ending = ending[:, first + 1 : stop + 1, None, :]
        return beginning[:, first:stop, :, None] * self.scan.matrix * ending

    @cached_property
    def edges(self) -> Tensor:
        beginning, ending = self._beginning_and_end
        return torch.bmm(beginning[:, :-1].mT, ending[:, 1:]).mul_(self.scan.matrix)

    def edge_sum(self, weight: Tensor) -> Tensor:
        ending = self._ending_share(self.rows.weighted(weight))
        return self.rows.pair_sum(self.scan.state[0], ending).mul_(self.scan.matrix)

    def adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        return self._adjoint(self.rows.gather(before), self.rows.gather(after))

    def _adjoint(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """`adjoint` of (rows, label), 0 in rows that are of no token."""
        # With h = (gradient to log state) / raw, either direction is
        # h[t] = given[t] / raw[t] + factor[t] * (M h[t + 1]), and raw = state / factor.
        scan, turned = self.scan, self.rows.turned
        flow = scan.factors / scan.state
        flow[0].mul_(before)
        flow[1].mul_(after.index_select(0, turned).mul_(self.rows.weight))
        self._run_adjoint(flow)
        outer = self.rows.pair_sum(scan.state, flow)
        flow.mul_(scan.state).div_(scan.factors)
        scores = flow[1].index_select(0, turned).add_(flow[0]).sub_(after)
        return self.rows.spread_tokens(scores), (outer[0] + outer[1].t()) * scan.matrix

    @torch.inference_mode()
    def _run_adjoint(self, flow: Tensor) -> None:
        scan, rows, arrays = self.scan, self.rows, self.scan.arrays
        matrix = arrays.view(torch.stack([scan.matrix.t(), scan.matrix]))
        each, factors = (rows.each(arrays.view(x)) for x in (flow, scan.factors))
        steps = zip(each[1:], scan.scratch()[1:], rows.before(factors), rows.before(each), strict=True)
        for after, step, factor, before in reversed(list(steps)):
            arrays.matmul(after, matrix, step)
            arrays.multiply(factor, step, step)
            arrays.add(before, step, before)


class _ScaledKernel(Kernel):
    """The kernel in probability space."""

    def serves(self, potentials: Potentials) -> bool:
        return rescale_interval(potentials) > 0

    def forward_backward(self, potentials: Potentials) -> _ScaledPass:
        return _ScaledPass(potentials, rescale_interval(potentials))

    def log_partition(self, potentials: Potentials) -> Tensor:
        return _log_partition(potentials, rescale_interval(potentials))


KERNEL = _ScaledKernel()
