"""One problem for all rows of `crf_peers.py`: inputs, what a row offers, and float64 references."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

K = 10  # paths of the top-k loss
Result = tuple[float, Tensor | None, Tensor | None]  # loss, gradient to emissions, gradient to transitions


class Problem:
    """Random potentials. Score of y: start[y1] + sum E[t, yt] + sum A[y(t-1), yt] + end[yn]. Longest sentence first."""

    def __init__(
        self,
        batch: int,
        time: int,
        labels: int,
        seed: int = 0,
        lengths: list[int] | None = None,
        device: str = "cpu",
    ) -> None:
        random = torch.Generator().manual_seed(seed)
        self.B, self.T, self.L, self.K = batch, time, labels, K
        drawn = torch.randint(max(2, time // 4), time + 1, (batch,), generator=random)
        drawn[0] = time
        self.lengths = torch.tensor(lengths) if lengths else drawn.sort(descending=True).values
        self.mask = torch.arange(time) < self.lengths[:, None]
        self.tokens = int(self.lengths.sum())
        self.E = 2.0 * torch.randn(batch, time, labels, generator=random)
        self.A, ends = (0.7 * torch.randn(n, labels, generator=random) for n in (labels, 2))
        self.start, self.end = ends
        self.tags = torch.randint(0, labels, (batch, time), generator=random)
        self.ktags = torch.randint(0, labels, (batch, K, time), generator=random)
        self.kweights = torch.randn(batch, K, generator=random).softmax(1)
        target = (3.0 * torch.randn(batch, time, labels, generator=random)).softmax(2)
        self.posterior = target * self.mask[..., None]
        self.entropy = float(-(self.posterior * (self.posterior + 1e-30).log()).sum())
        for name, value in vars(self).items():  # drawn on the CPU, so that a problem is the same on every device
            if torch.is_tensor(value):
                setattr(self, name, value.to(device))

    def leaves(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        return [x.to(dtype, copy=True).requires_grad_(True) for x in (self.E, self.A, self.start, self.end)]

    def path_score(self, leaves: list[Tensor], paths: Tensor) -> Tensor:
        """Scores (batch, k) of paths (batch, k, time)."""
        emissions, transitions, start, end = leaves
        mask = self.mask[:, None].to(emissions.dtype)
        score = (emissions.gather(2, paths.transpose(1, 2)).transpose(1, 2) * mask).sum(-1)
        score = score + (transitions[paths[..., :-1], paths[..., 1:]] * mask[..., 1:]).sum(-1)
        last = paths.gather(2, (self.lengths - 1)[:, None, None].expand(*paths.shape[:2], 1))[..., 0]
        return score + start[paths[..., 0]] + end[last]


class Provider:
    """A row. Operations that a subclass does not define are left out of the table.

    logz() -> (batch,); marginals() -> (batch, time, label); viterbi() -> paths, a tensor or lists;
    kbest(k) -> scores or None, paths (batch, k, time); nll(), posterior_kd(), topk_kd() -> Result, summed / batch.
    """

    name = "?"
    ours = False  # True: not a peer
    torch = True  # False: not PyTorch, so that its users differentiate and train elsewhere
    own_weights = False  # True: takes no potentials, so that there is nothing to compare its results with

    def __init__(self, problem: Problem) -> None:
        self.p = problem
        self.setup()

    def setup(self) -> None:
        pass

    def skips(self, operation: str) -> str:
        """Why an operation that the class has is not run on this problem; "" if it is."""
        return ""


class AutogradProvider(Provider):
    """Operations composed from a differentiable log Z, as a user of such a library would."""

    leaf: list[Tensor]

    def setup(self) -> None:
        self.leaf = self.p.leaves()
        self.build()

    def build(self) -> None:
        pass

    def log_z(self) -> Tensor:
        raise NotImplementedError

    def score(self, paths: Tensor) -> Tensor:
        return self.p.path_score(self.leaf, paths)

    def gradients(self, loss: Tensor) -> Result:
        for leaf in self.leaf:
            leaf.grad = None
        loss.backward()
        return float(loss.detach()), self.leaf[0].grad, self.leaf[1].grad

    def logz(self) -> Tensor:
        with torch.no_grad():
            return self.log_z()

    def nll(self) -> Result:
        return self.gradients((self.log_z() - self.score(self.p.tags[:, None])[:, 0]).sum() / self.p.B)

    def marginals(self, *, graph: bool = False) -> Tensor:
        return torch.autograd.grad(self.log_z().sum(), self.leaf[0], create_graph=graph)[0]

    def posterior_kd(self) -> Result:
        student = self.marginals(graph=True).clamp_min(1e-30).log()
        return self.gradients((-(self.p.posterior * student).sum() - self.p.entropy) / self.p.B)

    def topk_kd(self) -> Result:
        loss = self.log_z()[:, None] - self.score(self.p.ktags)
        return self.gradients((self.p.kweights * loss).sum() / self.p.B)


class Reference(AutogradProvider):
    """float64 values, by a plain loop; the best scores of tiny problems by enumeration."""

    def setup(self) -> None:
        self.leaf = self.p.leaves(torch.float64)
        self.memo: dict[str, Any] = {}

    def of(self, op: str) -> Any:
        if op not in self.memo:
            self.memo[op] = getattr(self, op)()
        return self.memo[op]

    def log_z(self) -> Tensor:
        emissions, transitions, start, end = self.leaf
        alpha = start + emissions[:, 0]
        for t in range(1, self.p.T):
            step = (alpha[:, :, None] + transitions).logsumexp(1) + emissions[:, t]
            alpha = torch.where(self.p.mask[:, t, None], step, alpha)
        return (alpha + end).logsumexp(1)

    @torch.no_grad()
    def best_scores(self, k: int) -> Tensor:
        """(batch, k) scores of the k best paths, by lists of k for each label; -inf where there are fewer."""
        emissions, transitions, start, end = self.leaf
        state = emissions.new_full((self.p.B, k, self.p.L), -torch.inf)
        state[:, 0] = start + emissions[:, 0]
        for t in range(1, self.p.T):
            step = (state[..., None] + transitions).flatten(1, 2).topk(k, 1).values + emissions[:, t, None]
            state = torch.where(self.p.mask[:, t, None, None], step, state)
        return (state + end).flatten(1).topk(k, 1).values

    def listed_scores(self, k: int) -> Tensor:
        """The same by listing all paths, for tiny problems."""
        rows = []
        for b, n in enumerate(self.p.lengths.tolist()):
            paths = torch.tensor(list(itertools.product(range(self.p.L), repeat=n)))
            emissions, transitions, start, end = (x.detach() for x in self.leaf)
            score = emissions[b, torch.arange(n), paths].sum(1) + start[paths[:, 0]] + end[paths[:, -1]]
            score = score + transitions[paths[:, :-1], paths[:, 1:]].sum(1)
            top = score.topk(min(k, len(score))).values
            rows.append(torch.nn.functional.pad(top, (0, k - len(top)), value=-torch.inf))
        return torch.stack(rows)
