"""Scores and counts of given label paths."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.potentials import Layout
from tagdistill.crf.shapes import Float, Int


class Paths(NamedTuple):
    """Label paths (batch, k, time) as flat positions; one past the end of the table stands for padding."""

    cells: Tensor  # (batch, k, time) positions in (batch, time, label)
    edges: Tensor  # (batch, k, time - 1) positions in (from, to)


class PathCounts(NamedTuple):
    """How often a weighted set of paths uses each label and each transition."""

    unary: Float[Tensor, "batch time label"]
    transitions: Float[Tensor, "batch label label"]  # [from, to]


def prepare(labels: Tensor, layout: Layout, num_labels: int) -> Paths:
    """Find the cells and edges of (batch, k, time) labels; raise ValueError for a label outside the chain's."""
    if labels.dim() != 3 or labels.shape[0] != layout.batch or labels.shape[2] < layout.time:
        wanted = f"({layout.batch}, k, {layout.time} or more)"
        raise ValueError(f"labels: expected {wanted}, found {tuple(labels.shape)}")
    outside = ~layout.mask[:, None]
    rows = labels[..., : layout.time].to(device=outside.device, dtype=torch.int64).masked_fill(outside, 0)
    if not rows.is_cuda and rows.numel():
        low, high = (int(v) for v in rows.aminmax())
        if low < 0 or high >= num_labels:
            found = low if low < 0 else high
            raise ValueError(f"labels: expected 0 to {num_labels - 1} on every token, found {found}")
    size = layout.mask.numel() * num_labels
    first = torch.arange(0, size, num_labels, device=rows.device).view(layout.batch, 1, layout.time)
    edges = torch.add(rows[..., 1:], rows[..., :-1], alpha=num_labels)
    edges.masked_fill_(outside[..., 1:], num_labels * num_labels)
    return Paths((rows + first).masked_fill_(outside, size), edges)


def score(scores: Tensor, transitions: Tensor, path: Paths) -> Tensor:
    """Unnormalised log scores (batch, k)."""
    return _look_up(scores, path.cells) + _look_up(transitions, path.edges)


def _look_up(table: Tensor, position: Tensor) -> Tensor:
    values = torch.cat([table.reshape(-1), table.new_zeros(1)])
    return values.index_select(0, position.view(-1)).view(position.shape).sum(-1)


def add_unary(counts: Tensor, path: Paths, weight: Tensor) -> Tensor:
    """Return counts (batch, time, label) plus each path's weight (batch, k) at its labels."""
    return _add(torch.cat([counts.reshape(-1), counts.new_zeros(1)]), path.cells, weight)[:-1].view(counts.shape)


def edge_sum(path: Paths, weight: Tensor, labels: int) -> Tensor:
    """Weighted transition counts of all sentences together, (from, to)."""
    return _add(weight.new_zeros(labels * labels + 1), path.edges, weight)[:-1].view(labels, labels)


def edges(path: Paths, weight: Tensor, labels: int) -> Tensor:
    """Weighted transition counts of each sentence, (batch, from, to)."""
    size = labels * labels + 1
    first = torch.arange(len(weight), device=weight.device)[:, None, None] * size
    counts = _add(weight.new_zeros(len(weight) * size), path.edges + first, weight)
    return counts.view(-1, size)[:, :-1].reshape(-1, labels, labels)


def _add(counts: Tensor, position: Tensor, weight: Tensor) -> Tensor:
    return counts.scatter_add_(0, position.view(-1), weight[..., None].expand(position.shape).reshape(-1))


def count(
    labels: Int[Tensor, "batch k time"],
    weight: Float[Tensor, "batch k"],
    lengths: Int[Tensor, " batch"],
    num_labels: int,
) -> PathCounts:
    """Return the counts of weighted paths: gold, top-k and top-wk targets in the form of structural ones.

    Padding labels may be anything. Raises ValueError for a label outside 0 to num_labels - 1 on a token.
    """
    layout = Layout.of(lengths.to(device=labels.device, dtype=torch.int64), labels.shape[2])
    path = prepare(labels, layout, num_labels)
    unary = add_unary(weight.new_zeros((*layout.mask.shape, num_labels)), path, weight)
    return PathCounts(unary, edges(path, weight, num_labels))
