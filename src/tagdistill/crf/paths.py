"""Scores and counts of given label paths."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.potentials import Layout
from tagdistill.crf.shapes import Float, Int


class Paths(NamedTuple):
    """Label paths as flat positions, with the weight 0 in padding, where they are arbitrary."""

    cells: Tensor  # (batch, k, time) positions in (batch, time, label)
    edges: Tensor  # (batch, k, time - 1) positions in (from, to)
    weight: Tensor  # (batch, time, 1) float64


class PathCounts(NamedTuple):
    """How often a weighted set of paths uses each label and each transition."""

    unary: Float[Tensor, "batch time label"]
    transitions: Float[Tensor, "batch label label"]  # [from, to]


def prepare(labels: Tensor, layout: Layout, num_labels: int) -> Paths:
    """Find the cells and edges of (batch, k, time) labels; raise ValueError for a label outside the chain's."""
    if labels.dim() != 3 or labels.shape[0] != layout.batch or labels.shape[2] < layout.time:
        wanted = f"({layout.batch}, k, {layout.time} or more)"
        raise ValueError(f"labels: expected {wanted}, found {tuple(labels.shape)}")
    inside = layout.mask[:, None]
    rows = labels[..., : layout.time].to(device=inside.device, dtype=torch.int64) * inside
    if not rows.is_cuda and rows.numel():
        low, high = (int(v) for v in rows.aminmax())
        if low < 0 or high >= num_labels:
            found = low if low < 0 else high
            raise ValueError(f"labels: expected 0 to {num_labels - 1} on every token, found {found}")
    size = layout.mask.numel() * num_labels
    start = torch.arange(0, size, num_labels, device=rows.device).view(layout.batch, 1, layout.time)
    edges = torch.add(rows[..., 1:], rows[..., :-1], alpha=num_labels)
    return Paths(rows + start, edges, layout.weight)


def score(scores: Tensor, transitions: Tensor, path: Paths) -> Tensor:
    """Unnormalised log scores (batch, k)."""
    cells = _look_up(scores, path.cells, path.weight)
    return cells + _look_up(transitions, path.edges, path.weight[:, 1:])


def _look_up(table: Tensor, position: Tensor, weight: Tensor) -> Tensor:
    values = table.reshape(-1).index_select(0, position.reshape(-1)).view(position.shape)
    return torch.matmul(values, weight).squeeze(-1)


def add_unary(counts: Tensor, path: Paths, weight: Tensor) -> Tensor:
    """Add each path's weight (batch, k) at its labels to counts (batch, time, label), in place."""
    _add(counts.view(-1), path.cells, weight[..., None] * path.weight.transpose(1, 2))
    return counts


def edge_sum(path: Paths, weight: Tensor, labels: int) -> Tensor:
    """Weighted transition counts of all sentences together, (from, to)."""
    counts = weight.new_zeros(labels * labels)
    return _add(counts, path.edges, weight[..., None] * path.weight[:, 1:].transpose(1, 2)).view(labels, labels)


def edges(path: Paths, weight: Tensor, labels: int) -> Tensor:
    """Weighted transition counts of each sentence, (batch, from, to)."""
    start = torch.arange(len(weight), device=weight.device)[:, None, None] * (labels * labels)
    counts = weight.new_zeros(len(weight) * labels * labels)
    return _add(counts, path.edges + start, weight[..., None] * path.weight[:, 1:].transpose(1, 2)).view(
        -1, labels, labels
    )


def _add(counts: Tensor, position: Tensor, weight: Tensor) -> Tensor:
    return counts.scatter_add_(0, position.reshape(-1), weight.to(counts.dtype).reshape(-1))


def count(
    labels: Int[Tensor, "batch k time"],
    weight: Float[Tensor, "batch k"],
    lengths: Int[Tensor, " batch"],
    num_labels: int,
) -> PathCounts:
    """Return the counts of weighted paths: gold, top-k and top-wk targets in the form of structural ones.

    Padding labels may be anything. Raises ValueError for a label outside 0 to num_labels - 1 on a token.
    """
    layout = Layout(lengths.to(device=labels.device, dtype=torch.int64), labels.shape[2])
    path = prepare(labels, layout, num_labels)
    unary = add_unary(weight.new_zeros((*layout.mask.shape, num_labels)), path, weight)
    return PathCounts(unary, edges(path, weight, num_labels))
