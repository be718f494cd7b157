"""Where a scan's rows are: one for each token, in the order in which they are computed.

A scan array is (2, rows, ...): direction 0 goes through the sentences as they are, direction 1 from their ends. The
rows of a step follow those of the step before. Sentences stand longest first, so a step needs no rows for those that
have ended; only in a few places is the number of rows cut, and between two of them some rows are computed that nobody
reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.kernels.arrays import Array
from tagdistill.crf.layout import Layout, on_host

MIN_BLOCK_CELLS = 1 << 15  # cells of a scan array that take longer than one more block
MAX_BLOCKS = 8


class Block(NamedTuple):
    """Steps of as many sentences each."""

    start: int  # its first row
    steps: int
    sentences: int

    @property
    def stop(self) -> int:
        """The row after its last one."""
        return self.start + self.steps * self.sentences


class Rows:
    """The rows of a scan through `longest` tokens of each sentence at most.

    It runs through `steps` of a sentence's length, (batch,) -> (batch,); without it through the whole sentence.
    """

    def __init__(
        self, layout: Layout, labels: int, longest: int, steps: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.layout, self.longest = layout, longest
        self.order: Tensor | None = None  # (batch,) the sentence of each place, None for the order as it is
        self.blocks = [Block(0, longest, layout.batch)]
        cuts = min(MAX_BLOCKS, layout.batch * longest * labels // MIN_BLOCK_CELLS, layout.batch)
        if cuts > 1 and on_host(layout.lengths):  # reads them back, which a GPU would have to wait for
            given = steps(layout.lengths) if steps else layout.lengths
            ordered, self.order = given.sort(descending=True, stable=True)
            self.blocks = _blocks(ordered.tolist(), cuts)

    @property
    def count(self) -> int:
        """The number of rows in each direction."""
        return self.blocks[-1].stop

    # -- views of the steps

    def each(self, array: Array) -> list[Array]:
        """(2, rows, label) -> (2, sentences, label) of each step."""
        steps: list[Array] = []
        for block in self.blocks:
            part = array[:, block.start : block.stop]
            steps.extend(part.reshape(2, block.steps, block.sentences, -1).swapaxes(0, 1))
        return steps

    def before(self, each: list[Array]) -> list[Array]:
        """Of each step but the first, what `each` has of the step before for the sentences that have not ended."""
        before, step = each[:-1], 0
        for block in self.blocks[:-1]:
            step += block.steps
            before[step - 1] = each[step - 1][:, : each[step].shape[1]]
        return before

    def scratch(self, space: Array) -> list[Array]:
        """Contiguous (2, sentences, label) to write each step's result to, all in space (2, batch, label)."""
        labels, flat = space.shape[2], space.reshape(-1)
        steps: list[Array] = []
        for block in self.blocks:
            steps += [flat[: 2 * block.sentences * labels].reshape(2, block.sentences, labels)] * block.steps
        return steps

    def pair_sum(self, before: Tensor, after: Tensor) -> Tensor:
        """Sum of before[t]^T after[t + 1] over the tokens t and t + 1 of all sentences; (..., rows, label)."""
        parts = []
        for block, last in zip(self.blocks, [None, *self.blocks], strict=False):
            start, stop, size = block.start, block.stop, block.sentences
            parts.append((start, start + size, stop - start - size))
            if last:
                parts.append((last.stop - last.sentences, start, size))
        first, *rest = (before.narrow(-2, a, n).mT @ after.narrow(-2, b, n) for a, b, n in parts)
        return sum(rest, first)

    # -- indices

    def by_place(self, values: Tensor) -> Tensor:
        """(batch,) in the order of the rows."""
        return values if self.order is None else values.index_select(0, self.order)

    def by_sentence(self, values: Tensor) -> Tensor:
        """(batch,) from the order of the rows."""
        return values if self.order is None else torch.empty_like(values).index_copy_(0, self.order, values)

    @property
    def final(self) -> Tensor:
        """(batch,) the position of the last token of the sentence at each place."""
        return self.by_place(self.layout.final)

    @property
    def _place(self) -> Tensor:
        return self.layout.positions.sentence

    @property
    def _step(self) -> Tensor:
        return self.layout.positions.step[: self.longest, None]

    @cached_property
    def _offset(self) -> Tensor:
        """(longest,) the first row of each step."""
        return torch.cat([torch.arange(b.start, b.stop, b.sentences, device=self.final.device) for b in self.blocks])

    def at(self, steps: Tensor) -> Tensor:
        """(..., batch) the rows of these steps, by place."""
        return self._rows(steps, self._place)

    def _rows(self, steps: Tensor, place: Tensor) -> Tensor:
        if self.order is None:  # all steps have rows for all
            return torch.add(place, steps, alpha=self.layout.batch)
        return self._offset.index_select(0, steps.reshape(-1)).view(steps.shape) + place

    def _packed(self, table: Tensor) -> Tensor:
        """(longest, batch), by place -> (rows,)."""
        if self.order is None:
            return table.view(-1)
        parts = torch.split(table, [block.steps for block in self.blocks])
        return torch.cat([x[:, : b.sentences].reshape(-1) for x, b in zip(parts, self.blocks, strict=True)])

    def sources(self, time: int) -> Tensor:
        """(rows,) where the tokens of direction 0 are in (batch * time, label); past a sentence's end its last one."""
        source = self.layout.positions_of(time).source[: self.longest]
        source = source if self.order is None else source.index_select(1, self.order)
        return self._packed(source.minimum(self.by_place(self.layout.last_of(time))))

    def sources_from_end(self, time: int) -> Tensor:
        """The same of direction 1; past a sentence's beginning its first one."""
        last, first = (self.by_place(x) for x in (self.layout.last_of(time), self.layout.positions_of(time).first))
        return self._packed((last - self._step).maximum(first))

    @cached_property
    def turned(self) -> Tensor:
        """(rows,) the row of the same token in the other direction; any row where it is of no token.

        Only of whole sentences, as all that follows.
        """
        if self.order is None:
            return self.layout.turned.view(-1)
        return self._packed(self.at((self.final - self._step).clamp_min_(0)))

    @cached_property
    def weight(self) -> Tensor:
        """(rows, 1) float64, 1 on tokens, 0 in rows that nobody reads."""
        return self._packed((self._step <= self.final).to(torch.float64))[:, None]

    def weighted(self, weight: Tensor) -> Tensor:
        """(rows, 1): the weight (batch,) of the sentence of each token, 0 in rows that nobody reads."""
        return self._packed((self._step <= self.final) * self.by_place(weight))[:, None]

    @cached_property
    def tokens(self) -> Tensor:
        """(batch * time,) the row of each token in direction 0; in padding that of the last one."""
        reach = self.layout.positions.step.minimum(self.layout.final[:, None])
        return self._rows(reach, self.by_sentence(self._place)[:, None]).view(-1)

    def gather(self, values: Tensor) -> Tensor:
        """(batch, time, label) -> (rows, label), 0 in rows that nobody reads."""
        places = self.sources(self.layout.time)
        return values.reshape(-1, values.shape[2]).index_select(0, places).mul_(self.weight)

    def spread(self, rows: Tensor) -> Tensor:
        """(rows, label) -> (batch, time, label), in padding as at the last token."""
        return rows.index_select(0, self.tokens).view(self.layout.batch, self.layout.time, -1)

    def spread_tokens(self, rows: Tensor, weight: Tensor | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
        """(rows, label), times weight (batch,) -> (batch, time, label) of this dtype, 0 in padding."""
        if self.order is None:
            share = self.weight if weight is None else self.weighted(weight)
            steps = (rows * share).view(self.longest, self.layout.batch, -1)
            return steps.transpose(0, 1).to(dtype, memory_format=torch.contiguous_format, copy=True)
        layout = self.layout
        share = layout.weight if weight is None else layout.weight * weight[:, None, None]
        return self.spread(rows).mul_(share).to(dtype)


def _blocks(ordered: list[int], cuts: int) -> list[Block]:
    """Cut where the sentences still running have become a whole number of parts fewer. ordered: falling steps."""
    sizes = [-(-len(ordered) * part // cuts) for part in range(cuts, 0, -1)]
    blocks, step, start = [], 0, 0
    for size, smaller in zip(sizes, [*sizes[1:], None], strict=True):
        until = ordered[0] if smaller is None else ordered[smaller]  # then no more than `smaller` go on
        if until > step:
            blocks.append(Block(start, until - step, size))
            start, step = blocks[-1].stop, until
    return blocks
