"""Best paths: a scan of maxima without indices, and arg maxima along the decoded path only. All in float64.

Among paths of equal score the one with the lowest last label is taken, then the lowest label before it, and so on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tagdistill.crf.potentials import Layout, Potentials


def best_prefixes(potentials: Potentials) -> Tensor:
    """(time, batch, label) score of the best beginning of a sentence that ends in this label at this token."""
    best = potentials.scores.clone()
    batch, labels = best.shape[1:]
    # `from` leads, so the maximum runs over whole contiguous planes.
    edges = potentials.transitions[:, None, :].contiguous()
    previous = best.new_empty((labels, batch))
    table = best.new_empty((labels, batch, labels))
    top = best.new_empty((batch, labels))
    rows = best.unbind(0)
    for t in range(1, len(rows)):
        previous.copy_(rows[t - 1].t())
        torch.add(previous[:, :, None], edges, out=table)
        torch.amax(table, 0, out=top)
        rows[t].add_(top)
    return best


def into(transitions: Tensor) -> Tensor:
    """Transition scores by the label that follows, (labels + 1, labels): the last row is 0, for 'nothing follows'."""
    return torch.cat([transitions.t(), transitions.new_zeros((1, len(transitions)))])


def backtrace(best: Tensor, following: Tensor, forced: Tensor) -> Tensor:
    """Decode from the last token backwards.

    best: (time, batch, label) from `best_prefixes`; following: from `into`; forced: (time, batch, k), the label where
    it is already known (`labels` itself past the end of a sentence) and -1 where it is free. Returns the same shape.
    """
    labels = best.shape[2]
    free = forced < 0
    out = torch.empty_like(forced)
    after = forced.new_full(forced.shape[1:], labels)
    for t in range(len(forced) - 1, -1, -1):
        options = following.index_select(0, after.view(-1)).view(*after.shape, labels).add_(best[t][:, None])
        after = torch.where(free[t], options.argmax(-1), forced[t], out=out[t])
    return out


def outside(layout: Layout, labels: int, k: int = 1) -> Tensor:
    """The `forced` table of a search in which every token is free."""
    forced = torch.where(layout.mask, -1, labels)
    return forced[..., None].expand(*forced.shape, k)


@torch.no_grad()
def argmax(potentials: Potentials) -> Tensor:
    """Best labels (time, batch), 0 in padding."""
    potentials = potentials.detach()
    labels = potentials.transitions.shape[0]
    best = best_prefixes(potentials)
    rows = backtrace(best, into(potentials.transitions), outside(potentials.layout, labels))
    return rows[..., 0].masked_fill_(~potentials.layout.mask, 0)
