"""Scores and counts of given label paths, time-major: labels (time, batch, k), padding is label 0."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tagdistill.crf.potentials import Layout, Potentials
from tagdistill.crf.shapes import Float, Int


class Paths(NamedTuple):
    """Label paths as the kernels read them."""

    labels: Tensor  # (time, batch, k) int64, 0 in padding
    edges: Tensor  # (time - 1, batch, k) from * labels + to; labels * labels (one past the matrix) outside a sentence
    mask: Tensor  # (time, batch, 1)


class PathCounts(NamedTuple):
    """How often a weighted set of paths uses each label and each transition."""

    unary: Float[Tensor, "batch time label"]
    transitions: Float[Tensor, "batch label label"]  # [from, to]


def prepare(labels: Tensor, layout: Layout, num_labels: int) -> Paths:
    """Bring (batch, k, time) labels into time-major order; raise ValueError for a label outside the chain's."""
    if labels.dim() != 3 or labels.shape[0] != layout.batch or labels.shape[2] < layout.time:
        wanted = f"({layout.batch}, k, {layout.time} or more)"
        raise ValueError(f"labels: expected {wanted}, found {tuple(labels.shape)}")
    mask = layout.mask[..., None]
    rows = labels[..., : layout.time].permute(2, 0, 1).to(device=mask.device, dtype=torch.int64).masked_fill(~mask, 0)
    if not rows.is_cuda and rows.numel():
        low, high = (int(v) for v in rows.aminmax())
        if low < 0 or high >= num_labels:
            found = low if low < 0 else high
            raise ValueError(f"labels: expected 0 to {num_labels - 1} on every token, found {found}")
    edges = (rows[:-1] * num_labels + rows[1:]).masked_fill_(~mask[1:], num_labels * num_labels)
    return Paths(rows, edges, mask)


def score(scores: Tensor, transitions: Tensor, path: Paths) -> Tensor:
    """Unnormalised log scores (batch, k)."""
    table = torch.cat([transitions.reshape(-1), transitions.new_zeros(1)])  # the last entry is for padding
    edges = table.index_select(0, path.edges.reshape(-1)).view(path.edges.shape)
    return scores.gather(2, path.labels).mul_(path.mask).sum(0) + edges.sum(0)


def add_unary(counts: Tensor, path: Paths, weight: Tensor) -> Tensor:
    """Add each path's weight (batch, k) to counts (time, batch, label) at its labels, in place."""
    return counts.scatter_add_(2, path.labels, weight * path.mask)


def edge_sum(path: Paths, weight: Tensor, labels: int) -> Tensor:
    """Weighted transition counts of all sentences together, (from, to)."""
    counts = weight.new_zeros(labels * labels + 1)
    counts.scatter_add_(0, path.edges.reshape(-1), weight.expand(path.edges.shape).reshape(-1))
    return counts[:-1].view(labels, labels)


def edges(path: Paths, weight: Tensor, labels: int) -> Tensor:
    """Weighted transition counts of each sentence, (batch, from, to)."""
    batch, k = weight.shape
    counts = weight.new_zeros((batch, labels * labels + 1))
    index = path.edges.permute(1, 2, 0).reshape(batch, -1)
    counts.scatter_add_(1, index, weight[..., None].expand(batch, k, len(path.edges)).reshape(batch, -1))
    return counts[:, :-1].reshape(batch, labels, labels)


def count(
    labels: Int[Tensor, "batch k time"],
    weight: Float[Tensor, "batch k"],
    lengths: Int[Tensor, " batch"],
    num_labels: int,
) -> PathCounts:
    """Return the counts of weighted paths: gold, top-k and top-wk targets in the form of structural ones.

    Padding labels may be anything. Paths of weight 0 are not counted.
    """
    layout = Layout.of(lengths.to(device=labels.device, dtype=torch.int64), labels.shape[2])
    path = prepare(labels, layout, num_labels)
    unary = add_unary(weight.new_zeros((*layout.mask.shape, num_labels)), path, weight)
    return PathCounts(unary.transpose(0, 1).contiguous(), edges(path, weight, num_labels))


def labels_out(rows: Tensor, time: int) -> Tensor:
    """(time, batch, k) -> (batch, k, time), padded to the caller's number of time steps."""
    out = rows.new_zeros((rows.shape[1], rows.shape[2], time))
    out[..., : rows.shape[0]] = rows.permute(1, 2, 0)
    return out


def unnormalised(potentials: Potentials, rows: Tensor) -> Tensor:
    """Scores (batch, k) of time-major paths that a decoder returned, 0 in padding."""
    mask = potentials.layout.mask[..., None]
    labels = potentials.transitions.shape[0]
    edges = (rows[:-1] * labels + rows[1:]).masked_fill_(~mask[1:], labels * labels)
    return score(potentials.scores, potentials.transitions, Paths(rows, edges, mask))
