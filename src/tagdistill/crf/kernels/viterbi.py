"""Best paths: a scan of maxima without indices, and arg maxima along the decoded path only. All in float64.

Among paths of equal score the one with the lowest last label is taken, then the lowest label before it, and so on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tagdistill.crf.kernels.arrays import DEVICE, arrays_of
from tagdistill.crf.layout import Layout, on_host
from tagdistill.crf.potentials import Potentials

MAX_TABLE = 1 << 16  # cells of a step's table of pairs of labels that stay in the cache of a CPU
SHARED_TABLE = 1 << 15  # cells from which on PyTorch's threads share a table
MIN_PART = 32  # sentences that are enough for calls to run over long rows


def best_prefixes(potentials: Potentials) -> Tensor:
    """(time, batch, label) score of the best beginning of a sentence that ends in this label at this token.

    Any finite score past a sentence's end.
    """
    scores, layout, edges = potentials.scores, potentials.layout, potentials.transitions[:, :, None]
    parts = min(-(-edges.numel() * layout.batch // MAX_TABLE), layout.batch // MIN_PART)
    if parts <= 1 or not on_host(scores):
        return _best_prefixes(scores, edges, layout.time).contiguous()
    each = zip(scores.tensor_split(parts), layout.lengths.tensor_split(parts), strict=True)
    return torch.cat([_best_prefixes(part, edges, int(lengths.max())) for part, lengths in each], 1)


def _best_prefixes(scores: Tensor, edges: Tensor, longest: int) -> Tensor:
    """The same of some sentences, up to the step `longest`; not contiguous."""
    # Sentences innermost, so that every call runs over long rows. PyTorch is the faster one where an axis is repeated.
    best = scores.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
    _, labels, batch = best.shape
    table = best.new_empty((labels, labels, batch))
    arrays = DEVICE if table.numel() > SHARED_TABLE else arrays_of(best)
    seen, steps, top = (arrays.view(x) for x in (table, best, best.new_empty((labels, batch))))
    for before, after in zip(best[: longest - 1, :, None].unbind(0), steps[1:longest], strict=True):
        torch.add(before, edges, out=table)
        arrays.top_of_first(seen, top)
        arrays.add(after, top, after)
    return best.transpose(1, 2)


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


def decode(best: Tensor, following: Tensor, layout: Layout) -> Tensor:
    """Return the best labels (time, batch), what `backtrace` finds where every token is free; anything in padding."""
    time, batch, labels = best.shape
    # From the last token of each sentence on, whatever its length: a step past its beginning is of a token of padding.
    turned, arrays = layout.turned.view(-1), arrays_of(best)
    rows = arrays.view(best.view(-1, labels).index_select(0, turned).view(time, batch, labels))
    found = turned.new_empty((time, batch))
    out, following, table = (arrays.view(x) for x in (found, following, torch.empty_like(best[0])))
    arrays.argmax_rows(rows[0], out[0])
    for after, row, label in zip(out[:-1], rows[1:], out[1:], strict=True):
        arrays.take_rows(following, after, table)
        arrays.add(table, row, table)
        arrays.argmax_rows(table, label)
    return found.view(-1).index_select(0, turned).view(time, batch)


@torch.inference_mode()
def argmax(potentials: Potentials) -> Tensor:
    """Best labels (batch, time), 0 in padding."""
    layout = potentials.layout
    return decode(best_prefixes(potentials), into(potentials.transitions), layout).t() * layout.mask
