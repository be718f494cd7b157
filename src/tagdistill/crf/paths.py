"""Scores and counts of given label paths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.layout import Layout, on_host
from tagdistill.crf.potentials import Potentials
from tagdistill.crf.shapes import Float, Int


class Paths(ABC):
    """Label paths of a chain, k a sentence, as its kernel reads them."""

    @abstractmethod
    def score(self, potentials: Potentials) -> Tensor:
        """Unnormalised log scores (batch, k)."""

    @abstractmethod
    def add_unary(self, counts: Tensor, weight: Tensor) -> Tensor:
        """Add each path's weight (batch, k) at its labels to counts (batch, time, label), in place."""

    @abstractmethod
    def edge_sum(self, weight: Tensor) -> Tensor:
        """Weighted transition counts of all sentences together, (from, to)."""


@dataclass(frozen=True)
class _PathCells(Paths):
    """Label paths as flat positions, with the weight 0 in padding, where they are arbitrary."""

    cells: Tensor  # (batch, k, time) positions in (batch, time, label)
    edges: Tensor  # (batch, k, time - 1) positions in (from, to)
    weight: Tensor  # (batch, time, 1) float64
    labels: int

    def score(self, potentials: Potentials) -> Tensor:
        values = _look_up(potentials.scores, self.cells)
        values[..., 1:].add_(_look_up(potentials.transitions, self.edges))
        return values.mul_(self.weight.mT).sum(-1)

    def add_unary(self, counts: Tensor, weight: Tensor) -> Tensor:
        _add(counts.view(-1), self.cells, weight[..., None] * self.weight.transpose(1, 2))
        return counts

    def edge_sum(self, weight: Tensor) -> Tensor:
        counts = weight.new_zeros(self.labels * self.labels)
        return _add(counts, self.edges, self._of_edges(weight)).view(self.labels, self.labels)

    def each_edges(self, weight: Tensor) -> Tensor:
        """Weighted transition counts of each sentence, (batch, from, to)."""
        size = self.labels * self.labels
        start = torch.arange(len(weight), device=weight.device)[:, None, None] * size
        counts = weight.new_zeros(len(weight) * size)
        return _add(counts, self.edges + start, self._of_edges(weight)).view(-1, self.labels, self.labels)

    def _of_edges(self, weight: Tensor) -> Tensor:
        return weight[..., None] * self.weight[:, 1:].transpose(1, 2)


class PathCounts(NamedTuple):
    """How often a weighted set of paths uses each label and each transition.

    Examples:
        >>> import torch
        >>> counts = count(torch.tensor([[[0, 1]]]), torch.tensor([[1.0]]), torch.tensor([2]), num_labels=2)
        >>> counts.transitions
        tensor([[[0., 1.],
                 [0., 0.]]])
    """

    unary: Float[Tensor, "batch time label"]
    transitions: Float[Tensor, "batch label label"]  # [from, to]


def check_shape(labels: Tensor, layout: Layout) -> None:
    """Raise ValueError where labels are not (batch, k, time or more) integers."""
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected integers, found {labels.dtype}")
    if labels.dim() != 3 or labels.shape[0] != layout.batch or labels.shape[2] < layout.time:
        wanted = f"({layout.batch}, k, {layout.time} or more)"
        raise ValueError(f"labels: expected {wanted}, found {tuple(labels.shape)}")


def check_range(low: int, high: int, num_labels: int) -> None:
    """Raise ValueError where the least or the largest label is outside the chain's."""
    if not _fits((low, high), num_labels):
        outside = low if low < 0 else high
        raise ValueError(f"labels: expected 0 to {num_labels - 1} on every token, found {outside}")


def _fits(ends: tuple[int, int], num_labels: int) -> bool:
    return ends[0] >= 0 and ends[1] < num_labels


def _ends(rows: Tensor) -> tuple[int, int]:
    """The least and the largest label."""
    low, high = rows.aminmax() if rows.numel() else (0, 0)
    return int(low), int(high)


def find_cells(labels: Tensor, layout: Layout, num_labels: int) -> _PathCells:
    """Find the cells and edges of (batch, k, time) labels; raise ValueError for a label outside the chain's."""
    check_shape(labels, layout)
    rows = labels[..., : layout.time].to(device=layout.mask.device, dtype=torch.int64)
    if not on_host(rows) or not _fits(_ends(rows), num_labels):  # else padding may stay: its labels weigh nothing
        rows = rows * layout.mask[:, None]
        if on_host(rows):
            check_range(*_ends(rows), num_labels)
    cells = torch.add(rows, layout.positions.cell[:, None], alpha=num_labels)
    edges = torch.add(rows[..., 1:], rows[..., :-1], alpha=num_labels)
    return _PathCells(cells, edges, layout.weight, num_labels)


def _look_up(table: Tensor, position: Tensor) -> Tensor:
    return table.reshape(-1).index_select(0, position.reshape(-1)).view(position.shape)


def _add(counts: Tensor, position: Tensor, weight: Tensor) -> Tensor:
    return counts.scatter_add_(0, position.reshape(-1), weight.to(counts.dtype).reshape(-1))


def count(
    labels: Int[Tensor, "batch k time"],
    weight: Float[Tensor, "batch k"],
    lengths: Int[Tensor, " batch"],
    num_labels: int,
) -> PathCounts:
    """Return the counts of weighted paths: gold, top-k and top-wk targets in the form of structural ones.

    Args:
        labels: (batch, k, time) paths; in padding they may be anything.
        weight: (batch, k) of each path.
        lengths: (batch,) tokens of each sentence.
        num_labels: of the chain.

    Raises:
        ValueError: for a label outside 0 to num_labels - 1 on a token.

    Examples:
        >>> paths, weights = torch.tensor([[[0, 1], [1, 1]]]), torch.tensor([[0.75, 0.25]])
        >>> count(paths, weights, torch.tensor([2]), num_labels=2).unary
        tensor([[[0.7500, 0.2500],
                 [0.0000, 1.0000]]])
    """
    layout = Layout(lengths.to(device=labels.device, dtype=torch.int64), labels.shape[2])
    path = find_cells(labels, layout, num_labels)
    unary = path.add_unary(weight.new_zeros((*layout.mask.shape, num_labels)), weight)
    return PathCounts(unary, path.each_edges(weight))
