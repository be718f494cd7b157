"""What the kernels read: float64, with start and end scores added to the first and last token.

With the two vectors folded in, a sentence's score is `sum_t scores[t, y_t] + sum_t transitions[y_(t-1), y_t]`, and
every kernel has two inputs instead of four. Padding repeats the last token's scores, so nothing a caller leaves there
can reach a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.layout import Layout

SAFE_SPREAD = 100.0  # a spread of scores that leaves ample room in float64


class UnaryScores(NamedTuple):
    """The scores of single labels as a caller gives them."""

    emissions: Tensor  # (batch, time, label)
    start: Tensor | None  # (label,)
    end: Tensor | None  # (label,)


@dataclass(frozen=True)
class Potentials:
    """The chain as kernels see it, outside of any autograd graph."""

    scores: Tensor  # (batch, time, label) float64, contiguous; in padding what the last token emits
    transitions: Tensor  # (label, label) float64, contiguous, [from, to]
    layout: Layout
    top: Tensor  # (batch, time, 1) largest score of each token
    # The next three are None where nobody looked at the values.
    spread: float | None = None  # bound of the difference of two scores of one token
    edge_spread: float | None = None  # the same of two transitions
    edge_top: float | None = None  # the largest transition; may be None where the spreads are known

    def tops(self) -> Tensor:
        """(batch,) the sum of the largest scores of a sentence's tokens."""
        return (self.top * self.layout.weight).sum((1, 2))

    def relative(self, places: Tensor, out: Tensor | None = None) -> Tensor:
        """(n, label) scores less the largest of their token, at n rows of (batch * time, label)."""
        scores = torch.index_select(self.scores.view(-1, self.scores.shape[2]), 0, places, out=out)
        return scores.sub_(self.top.view(-1, 1).index_select(0, places))

    def relative_by_step(self, out: Tensor) -> Tensor:
        """The same of all tokens, in (time * batch, label)."""
        by_step = out.view(self.layout.time, self.layout.batch, -1)
        torch.sub(self.scores.transpose(0, 1), self.top.transpose(0, 1), out=by_step)
        return out


@torch.inference_mode()  # as in the kernels: each call costs less
def fold(unary: UnaryScores, transitions: Tensor, layout: Layout, *, measure: bool) -> Potentials:
    """Return the potentials of unary scores and (label, label) float64 transitions; `measure`: the spreads too."""
    scores = _folded(unary, layout)
    top = scores.amax(-1, keepdim=True)
    if not measure:
        return Potentials(scores, transitions, layout, top)
    return Potentials(scores, transitions, layout, top, *_spreads(scores, top, transitions))


def _folded(unary: UnaryScores, layout: Layout) -> Tensor:
    scores = layout.tokens(unary.emissions.detach()).to(torch.float64)
    if unary.start is not None:
        scores[:, 0].add_(unary.start.detach())
    if unary.end is not None:
        tails = unary.end.detach().to(torch.float64).expand(layout.batch, -1)
        scores.view(-1, scores.shape[2]).index_add_(0, layout.last, tails)
    return scores


def _spreads(scores: Tensor, top: Tensor, transitions: Tensor) -> tuple[float, float, float]:
    """Return the spread of a token's scores (or a bound of it) and of the transitions, and the largest transition."""
    low, high, edge_low, edge_high = torch.stack([scores.amin(), top.amax(), *transitions.aminmax()]).tolist()
    spread = high - low
    if spread > SAFE_SPREAD:  # that was over all tokens; the spread within each takes longer to find
        spread = float((top - scores.amin(-1, keepdim=True)).amax())
    return spread, edge_high - edge_low, edge_high


def unfold(
    grad: Tensor, layout: Layout, time: int, dtypes: tuple[torch.dtype | None, ...]
) -> tuple[Tensor | None, ...]:
    """Return the gradients to emissions (batch, time, label), start and end; None where the dtype is None.

    grad: (batch, layout.time, label), 0 in padding, so that nothing has to be sent back to a last token.
    """
    emissions_dtype, start_dtype, end_dtype = dtypes
    emissions = start = end = None
    if emissions_dtype:
        emissions = pad_time(grad.to(emissions_dtype), time)
    if start_dtype:
        start = grad[:, 0].sum(0).to(start_dtype)
    if end_dtype:
        rows = grad.reshape(-1, grad.shape[2]).index_select(0, layout.last)
        end = rows.sum(0).to(end_dtype)
    return emissions, start, end


def pad_time(values: Tensor, time: int) -> Tensor:
    """(batch, shorter, label) -> (batch, time, label), with zeros."""
    missing = time - values.shape[1]
    return torch.nn.functional.pad(values, (0, 0, 0, missing)) if missing else values
