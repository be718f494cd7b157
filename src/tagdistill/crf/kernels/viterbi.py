"""Best paths: a scan of maxima without indices, and arg maxima along the decoded path only. All in float64.

Among paths of equal score the one with the lowest last label is taken, then the lowest label before it, and so on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tagdistill.crf.layout import Layout
from tagdistill.crf.potentials import Potentials


def best_prefixes(potentials: Potentials) -> Tensor:
    """(time, batch, label) score of the best beginning of a sentence that ends in this label at this token."""
    # Sentences innermost, so that every call runs over long rows.
    best = potentials.scores.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
    time, labels, batch = best.shape
    edges = potentials.transitions[:, :, None]
    table, top = best.new_empty((labels, labels, batch)), best.new_empty((labels, batch))
    rows = best.unbind(0)
    for t in range(1, time):
        torch.add(rows[t - 1][:, None], edges, out=table)
        torch.amax(table, 0, out=top)
        rows[t].add_(top)
    return best.transpose(1, 2).contiguous()


def into(transitions: Tensor) -> Tensor:
    """Transition scores by the label that follows, (labels + 1, labels): the last row is 0, for 'nothing follows'."""
    return torch.cat([transitions.t(), transitions.new_zeros((1, len(transitions)))])


def backtrace(best: Tensor, following: Tensor, forced: Tensor) -> Tensor:
    """Decode from the last token backwards.

    best: (time, batch, label) from `best_prefixes`; following: from `into`; forced: (time, batch, k), the label where
    it is already known (`labels` itself past the end of a sentence) and -1 where it is free. Returns the same shape.
    """
    batch, k = forced.shape[1:]
    labels = best.shape[2]
    free = forced < 0
    out = torch.empty_like(forced)
    after = forced.new_full((batch, k), labels)
    options = best.new_empty((batch * k, labels))
    table, rows = options.view(batch, k, labels), best[:, :, None].unbind(0)
    for t, (open_, known, label) in reversed(list(enumerate(zip(free, forced, out, strict=True)))):
        torch.index_select(following, 0, after.view(-1), out=options)
        after = torch.where(open_, table.add_(rows[t]).argmax(-1), known, out=label)
    return out


def outside(layout: Layout, labels: int) -> Tensor:
    """The `forced` table of a search in which every token is free, (time, batch, 1)."""
    return torch.where(layout.mask, -1, labels).t()[..., None].contiguous()


@torch.no_grad()
def argmax(potentials: Potentials) -> Tensor:
    """Best labels (batch, time), 0 in padding."""
    labels = len(potentials.transitions)
    best = best_prefixes(potentials)
    rows = backtrace(best, into(potentials.transitions), outside(potentials.layout, labels))
    return rows[..., 0].t().masked_fill(~potentials.layout.mask, 0)
