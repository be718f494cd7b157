"""The k best paths, exactly, by deviations ("sidetracks") from paths that are known already.

Read from the end, every path follows the best beginning except where it leaves it. So a path is its parent plus one
deviation: at token t take another label than the parent's, keep the parent's labels after t, and complete the sentence
with the best beginning of that label. A child deviates before its parent did; thus each path has exactly one
derivation, paths are distinct by construction, and no child scores higher than its parent. A child's cost is one table
lookup, so all children of all new paths are compared at once, and the rounds end when none of them reaches the best k.
O(T L^2 + k T L) a sentence; k larger than the number of paths leaves slots empty.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from tagdistill.crf.kernels import viterbi
from tagdistill.crf.potentials import Potentials


class _Paths(NamedTuple):
    """Paths of each sentence in falling order of score."""

    labels: Tensor  # (batch, n, time); the number of labels in padding, so that nothing follows there
    score: Tensor  # (batch, n) unnormalised, -inf in an empty slot
    turn: Tensor  # (batch, n) the token at which the path leaves its parent


class _Children(NamedTuple):
    """The best children of a set of parents, in falling order of score, not decoded yet."""

    score: Tensor  # (batch, n) -inf where there is none
    parent: Tensor  # (batch, n)
    turn: Tensor  # (batch, n)
    label: Tensor  # (batch, n) the label taken at the turn


@torch.no_grad()
def k_best(potentials: Potentials, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best paths (batch, k, time) and their unnormalised scores (batch, k), in falling order.

    Labels are 0 in padding, and in empty slots, where the score is -inf. Reads one number back from the device in each
    round; there are at most k rounds, usually about four.
    """
    search = _Search(potentials)
    paths = new = search.best_path()
    while k > 1 and new.score.shape[1]:
        children = search.children(new, k)
        paths, new = search.merge(paths, new, children, k)
    missing = k - paths.score.shape[1]
    score = pad(paths.score, (0, missing), value=-torch.inf)
    empty = score.isinf()[..., None] | ~potentials.layout.mask[:, None]
    labels = pad(paths.labels, (0, 0, 0, missing)).masked_fill(empty, 0)
    return labels, score


class _Search:
    def __init__(self, potentials: Potentials) -> None:
        self.layout, self.lengths = potentials.layout, potentials.layout.lengths[:, None]
        self.best = viterbi.best_prefixes(potentials)
        self.following = viterbi.into(potentials.transitions)
        self.position = torch.arange(len(self.best), device=self.best.device)

    def best_path(self) -> _Paths:
        found = viterbi.decode(self.best, self.following, self.layout).t()
        labels = torch.where(self.layout.mask, found, self.best.shape[2])[:, None]
        last = (self.lengths - 1)[..., None].expand(-1, 1, self.best.shape[2])
        score = self.best.transpose(0, 1).gather(1, last).amax(2)
        return _Paths(labels, score, self.lengths)

    def children(self, parents: _Paths, k: int) -> _Children:
        """Return the k best children of each sentence's parents."""
        labels, time, size = parents.labels, len(self.best), self.best.shape[2]
        after = pad(labels[..., 1:], (0, 1), value=size)
        table = self.following.index_select(0, after.reshape(-1)).view(*labels.shape, size)
        table += self.best.transpose(0, 1)[:, None]
        own = labels.clamp(max=size - 1)[..., None]
        table += parents.score[..., None, None] - table.gather(3, own)
        table.scatter_(3, own, -torch.inf)
        closed = (self.position >= parents.turn[..., None])[..., None]  # padding too: the best path turns at the end
        flat = table.masked_fill_(closed, -torch.inf).view(len(labels), -1)
        score, index = flat.topk(min(k, flat.shape[1]), dim=1)
        return _Children(score, index // (time * size), index // size % time, index % size)

    def merge(self, known: _Paths, parents: _Paths, children: _Children, k: int) -> tuple[_Paths, _Paths]:
        """Return the k best of the known paths and the new children, and those children alone, decoded."""
        score = torch.cat([known.score, children.score], 1)
        order = score.sort(dim=1, descending=True, stable=True).indices[:, :k]
        count = known.score.shape[1]
        chosen = (order >= count) & ~score.gather(1, order).isinf()
        # Children are sorted, so the chosen ones are the first few of each sentence.
        chosen_count = chosen.sum(1, keepdim=True)
        new = self.decode(parents, children, chosen_count, int(chosen_count.max()))
        labels = torch.cat([known.labels, new.labels], 1)
        turn = torch.cat([known.turn, new.turn], 1)
        kept = order.clamp(max=labels.shape[1] - 1)  # what lies beyond is an empty slot
        labels = labels.gather(1, kept[..., None].expand(*kept.shape, labels.shape[2]))
        return _Paths(labels, score.gather(1, order), turn.gather(1, kept)), new

    def decode(self, parents: _Paths, children: _Children, chosen: Tensor, most: int) -> _Paths:
        """Complete the first `most` children; where a sentence has fewer chosen ones the slot is empty."""
        score, parent, turn, label = (x[:, :most] for x in children)
        rank = torch.arange(most, device=score.device)
        score = score.masked_fill(rank >= chosen, -torch.inf)
        after = parents.labels.gather(1, parent[..., None].expand(*parent.shape, parents.labels.shape[2]))
        forced = torch.where(self.position > turn[..., None], after, -1)
        forced.scatter_(2, turn[..., None], label[..., None])
        labels = viterbi.backtrace(self.best, self.following, forced.permute(2, 0, 1).contiguous())
        return _Paths(labels.permute(1, 2, 0), score, turn)
