"""The slow twins of `tagdistill.crf`: every quantity by listing all label paths, and log Z by a plain loop.

Differentiable, float64. Listing is for labels^time up to about a thousand; the loop is for larger chains.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Inputs:
    """What a chain is built from."""

    emissions: Tensor  # (batch, time, label)
    transitions: Tensor
    lengths: Tensor
    start: Tensor
    end: Tensor

    def leaves(self) -> list[Tensor]:
        return [self.emissions, self.transitions, self.start, self.end]

    def with_leaves(self, leaves: list[Tensor]) -> Inputs:
        emissions, transitions, start, end = leaves
        return Inputs(emissions, transitions, self.lengths, start, end)

    def arguments(self) -> tuple[Tensor, ...]:
        return self.emissions, self.transitions, self.lengths, self.start, self.end

    def to(self, *where: torch.dtype | torch.device | str) -> Inputs:
        return Inputs(*(x.to(*where) if x.is_floating_point() else x for x in self.arguments()))


def random_inputs(
    lengths: list[int], labels: int, *, seed: int = 0, sd: float = 1.5, time: int | None = None, edge_sd: float = 1.0
) -> Inputs:
    """Random potentials; the transitions are asymmetric, so that a wrong orientation shows."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    emissions = sd * normal(len(lengths), time or max(lengths), labels)
    ends = edge_sd * normal(2, labels)
    return Inputs(emissions, edge_sd * normal(labels, labels), torch.tensor(lengths), ends[0], ends[1])


def all_paths(length: int, labels: int) -> Tensor:
    """(labels^length, length), in lexicographic order."""
    return torch.tensor(list(itertools.product(range(labels), repeat=length))).view(-1, length)


def path_scores(inputs: Inputs, sentence: int, paths: Tensor) -> Tensor:
    """Unnormalised scores of paths (n, length)."""
    steps = torch.arange(paths.shape[1])
    emitted = inputs.emissions[sentence, steps, paths].sum(1)
    moved = inputs.transitions[paths[:, :-1], paths[:, 1:]].sum(1)
    return emitted + moved + inputs.start[paths[:, 0]] + inputs.end[paths[:, -1]]


class Enumeration:
    """The distribution of `LinearChain(*inputs.arguments())`, path by path."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.batch, self.time, self.labels = inputs.emissions.shape
        self.lengths = inputs.lengths.tolist()
        self.paths = [all_paths(n, self.labels) for n in self.lengths]
        self.scores = [path_scores(inputs, b, y) for b, y in enumerate(self.paths)]

    @property
    def log_partition(self) -> Tensor:
        return torch.stack([s.logsumexp(0) for s in self.scores])

    @property
    def log_probs(self) -> list[Tensor]:
        return [s.log_softmax(0) for s in self.scores]

    def log_prob(self, labels: Tensor) -> Tensor:
        """(batch,) of labels (batch, time)."""
        found = [path_scores(self.inputs, b, labels[b : b + 1, :n])[0] for b, n in enumerate(self.lengths)]
        return torch.stack(found) - self.log_partition

    @property
    def log_marginals(self) -> Tensor:
        out = torch.zeros(self.batch, self.time, self.labels, dtype=torch.float64)
        for b, (paths, log_prob) in enumerate(zip(self.paths, self.log_probs, strict=True)):
            for t, label in itertools.product(range(paths.shape[1]), range(self.labels)):
                cell = torch.zeros_like(out)
                cell[b, t, label] = 1
                out = out + cell * log_prob[paths[:, t] == label].logsumexp(0)
        return out

    @property
    def mask(self) -> Tensor:
        return torch.arange(self.time) < self.inputs.lengths[:, None]

    @property
    def marginals(self) -> Tensor:
        return self.log_marginals.exp() * self.mask[..., None]

    @property
    def transition_marginals(self) -> Tensor:
        rows = []
        for paths, log_prob in zip(self.paths, self.log_probs, strict=True):
            edges = paths[:, :-1] * self.labels + paths[:, 1:]
            used = torch.zeros(len(paths), self.labels**2, dtype=torch.float64)
            used.scatter_add_(1, edges, torch.ones_like(edges, dtype=torch.float64))
            rows.append((log_prob.exp()[:, None] * used).sum(0).view(self.labels, self.labels))
        return torch.stack(rows)

    def top_k(self, k: int) -> tuple[list[Tensor], list[Tensor]]:
        """Paths and log-probabilities of each sentence, best first, at most k."""
        order = [p.argsort(descending=True, stable=True)[:k] for p in self.log_probs]
        chosen = zip(self.paths, self.log_probs, order, strict=True)
        both = [(paths[i], log_prob[i]) for paths, log_prob, i in chosen]
        return [b[0] for b in both], [b[1] for b in both]

    def entropy(self) -> Tensor:
        return torch.stack([-(p.exp() * p).sum() for p in self.log_probs])

    def cross_entropy(self, student: Enumeration) -> Tensor:
        pairs = zip(self.log_probs, student.log_probs, strict=True)
        return torch.stack([-(p.exp() * q).sum() for p, q in pairs])

    def kl(self, student: Enumeration) -> Tensor:
        return self.cross_entropy(student) - self.entropy()

    def posterior_cross_entropy(self, log_target: Tensor, temperature: float = 1.0) -> Tensor:
        target = (log_target / temperature).softmax(-1)
        student = (self.log_marginals / temperature).log_softmax(-1)
        return -(temperature**2) * (target * student * self.mask[..., None]).sum((1, 2))


def looped_log_partition(inputs: Inputs) -> Tensor:
    """log Z (batch,) by the textbook recursion; exact in log space, however large the scores."""
    last = inputs.lengths - 1
    alpha = inputs.start + inputs.emissions[:, 0]
    rows = [alpha]
    for t in range(1, inputs.emissions.shape[1]):
        alpha = (alpha[:, :, None] + inputs.transitions).logsumexp(1) + inputs.emissions[:, t]
        rows.append(alpha)
    ends = torch.stack(rows)[last, torch.arange(len(last))]
    return (ends + inputs.end).logsumexp(1)


def looped_marginals(inputs: Inputs, *, graph: bool = False) -> Tensor:
    """Marginals (batch, time, label) as the gradient of log Z; `inputs.emissions` must require a gradient."""
    return torch.autograd.grad(looped_log_partition(inputs).sum(), inputs.emissions, create_graph=graph)[0]
