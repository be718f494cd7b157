"""The row "original": the algorithms of the paper's published code, reimplemented step by step.

Kept as they are, since they are what is timed: labels START and STOP inside the matrix, which is [to, from]; the whole
chart copied at every token; the batch repeated k times for the top-k loss; Viterbi one sentence at a time; k-best by
lists of k for each label. The k-best has the published code's fault too: where a sentence is shorter than the longest
of its batch, the pointer to its last label is looked up a second time, by rank, and paths come out wrong. Two of its
lines are mended, which cost nothing: an integer division, and the k-best gets the matrix as [from, to], as it reads it.
"""

from __future__ import annotations

import torch
from crf_problem import AutogradProvider, Problem, Result
from torch import Tensor

FORBIDDEN = -10000.0


class StartStop(AutogradProvider):
    """Peers whose label set holds START and STOP and whose matrix is [to, from]."""

    def build(self) -> None:
        problem, labels = self.p, self.p.L
        self.labels, self.start, self.stop = labels + 2, labels, labels + 1
        self.scores = torch.nn.functional.pad(problem.E, (0, 2)).requires_grad_(True)
        matrix = torch.full((labels + 2, labels + 2), FORBIDDEN, device=problem.E.device)
        matrix[:labels, :labels] = problem.A.t()
        matrix[:labels, self.start] = problem.start
        matrix[self.stop, :labels] = problem.end
        self.matrix = torch.nn.Parameter(matrix)
        self.leaf = [self.scores, self.matrix]

    def gradients(self, loss: Tensor) -> Result:
        value, scores, matrix = super().gradients(loss)
        labels = self.p.L
        assert scores is not None and matrix is not None
        return value, scores[..., :labels], matrix[:labels, :labels].t()

    def marginals(self, *, graph: bool = False) -> Tensor:
        return super().marginals(graph=graph)[..., : self.p.L]


class Original(StartStop):
    name = "original"

    def build(self) -> None:
        super().build()
        self.sizes = self.p.lengths.tolist()
        self.whole = self.p.mask.float()
        self.posterior = torch.nn.functional.pad(self.p.posterior, (0, 2))

    def chart(self, scores: Tensor, matrix: Tensor, first: int) -> Tensor:
        """Log-sums (batch, time + 1, label) of all beginnings; `first` is the label before the first token.

        scores (batch, time, to or 1, 1 or from) are added as a token is entered or left.
        """
        batch, time, labels = *scores.shape[:2], len(matrix)
        chart = scores.new_zeros(batch, time + 1, labels)
        chart[:, 0] = FORBIDDEN
        chart[:, 0, first] = 0.0
        matrix = matrix.repeat(batch, 1, 1)
        for t in range(time):
            before = chart[:, t, :, None].repeat(1, 1, labels).transpose(2, 1)
            joint = scores[:, t].expand(-1, labels, labels).contiguous() + matrix + before
            top = joint.max(2).values
            total = (joint - top[:, :, None].repeat(1, 1, labels)).exp().sum(2).log()
            chart = chart.clone()
            chart[:, t + 1] = top + total
        return chart

    def partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        chart = self.chart(scores[..., None], self.matrix, self.start)
        last = chart[torch.arange(len(lengths), device=chart.device), lengths]
        return (last + self.matrix[self.stop].repeat(len(lengths), 1)).logsumexp(1)

    def log_z(self) -> Tensor:
        return self.partition(self.scores, self.p.lengths)

    def beginnings_and_endings(self) -> Tensor:
        """Unnormalised log-marginals (batch, time, label)."""
        forward = self.chart(self.scores[..., None], self.matrix, self.start)[:, 1:]
        flipped = torch.zeros_like(self.scores)
        for row, n in enumerate(self.sizes):
            flipped[row][:n] = self.scores[row][:n].flip([0])
        left = torch.nn.functional.pad(flipped, (0, 0, 1, 0))[:, :-1, None]
        chart = self.chart(left, self.matrix.t(), self.stop)[:, 1:]
        backward = torch.zeros_like(chart)
        for row, n in enumerate(self.sizes):
            backward[row, :n] = chart[row, :n].flip([0])
        return forward + backward

    @torch.no_grad()
    def marginals(self, *, graph: bool = False) -> Tensor:
        return self.beginnings_and_endings().softmax(-1)[..., : self.p.L] * self.whole[..., None]

    def path_scores(self, scores: Tensor, paths: Tensor, mask: Tensor) -> Tensor:
        """Scores (rows,) of paths (rows, time)."""
        rows = paths.new_ones(len(paths), 1)
        known = torch.cat([rows, mask.long()], 1)
        before, after = torch.cat([rows * self.start, paths], 1), torch.cat([paths, rows * self.stop], 1)
        real = torch.cat([mask.long(), rows * 0], 1)
        after = after * real + (1 - real) * self.stop
        steps = self.matrix.expand(*after.shape, -1, -1)
        steps = steps.gather(2, after[..., None, None].expand(-1, -1, 1, self.labels))[:, :, 0]
        steps = steps.gather(2, before[..., None])[..., 0] * known
        return steps.sum(1) + (scores.gather(2, paths[..., None]) * mask[..., None]).sum((1, 2))

    def nll(self) -> Result:
        return self.gradients((self.log_z() - self.path_scores(self.scores, self.p.tags, self.whole)).mean())

    def posterior_kd(self) -> Result:
        joint = self.beginnings_and_endings() * self.whole[..., None]
        loss = torch.nn.functional.kl_div(joint.log_softmax(-1), self.posterior, reduction="none")
        return self.gradients((loss * self.whole[..., None]).sum() / self.p.B)

    def topk_kd(self) -> Result:
        problem, k = self.p, self.p.K
        scores = self.scores[..., None].repeat(1, 1, 1, k).permute(0, 3, 1, 2).reshape(-1, problem.T, self.labels)
        mask = self.whole[..., None].repeat(1, 1, k).transpose(1, 2).reshape(-1, problem.T)
        log_z = self.partition(scores, problem.lengths[:, None].repeat(1, k).reshape(-1))
        found = log_z - self.path_scores(scores, problem.ktags.reshape(-1, problem.T), mask)
        return self.gradients((found * problem.kweights.reshape(-1)).sum() / problem.B)

    @torch.no_grad()
    def viterbi(self) -> list[list[int]]:
        return [self.best(scores[:n]) for scores, n in zip(self.scores, self.sizes, strict=True)]

    def best(self, scores: Tensor) -> list[int]:
        """The best path of one sentence (time, label), with the confidences that the published code computes."""
        state, every = torch.full_like(scores[0], FORBIDDEN), torch.arange(self.labels, device=scores.device)
        state[self.start] = 0.0
        pointers, states = [], []
        for token in scores:
            joint = state.expand(self.labels, -1) + self.matrix
            pointer = joint.max(1).indices
            state = joint[every, pointer] + token
            pointers.append(pointer)
            states.append(state)
        end = state + self.matrix[self.stop]
        end[self.labels - 2 :] = FORBIDDEN
        path = [int(end.argmax())]
        for pointer in reversed(pointers):
            path.append(int(pointer[path[-1]]))
        for state in states:
            state.softmax(0)[state.max(0).indices.item()].item()
        return path[-2::-1]

    @torch.no_grad()
    def kbest(self, k: int) -> tuple[None, Tensor]:
        return None, k_best(self.p, self.scores, self.matrix.t().contiguous(), self.start, self.stop, k)


def k_best(problem: Problem, scores: Tensor, matrix: Tensor, start: int, stop: int, k: int) -> Tensor:
    """Paths (batch, k, time) by a Viterbi that keeps k entries for each label; matrix is [from, to]."""
    batch, time, labels = scores.shape
    padding, lengths = ~problem.mask.t(), problem.lengths
    joint = scores.transpose(0, 1)[:, :, None] + matrix
    state = joint[0][:, start]
    history, pointers = [state[..., None].expand(-1, -1, k)], []
    for t in range(1, time):
        if t == 1:
            found = joint[t] + state[:, :, None]
        else:
            found = (joint[t][:, :, None] + state[..., None]).view(batch, labels * k, labels)
        state, pointer = (x.transpose(2, 1).contiguous() for x in found.topk(k, 1))
        pointer = pointer * k if t == 1 else pointer
        history.append(state)
        pointers.append(pointer.masked_fill_(padding[t][:, None, None], 0))
    last = (lengths - 1).view(-1, 1, 1, 1).expand(batch, 1, labels, k)
    final = torch.stack(history, 1).gather(1, last).view(batch, labels, k, 1) + matrix[:, None]
    pointer = final.view(batch, labels * k, labels).topk(k, 1).indices[..., stop]
    back = torch.stack([*pointers, torch.zeros_like(pointers[0])], 1)
    back.scatter_(1, last, pointer[:, None, None].expand(batch, 1, labels, k))
    back = back.transpose(0, 1).reshape(time, batch, labels * k)
    paths = torch.empty(time, batch, k, dtype=torch.long, device=scores.device)
    paths[-1] = pointer // k
    for t in range(time - 2, -1, -1):
        step = back[t].gather(1, pointer)
        paths[t] = step // k
        pointer = step + pointer * padding[t][:, None]
    return paths.permute(1, 2, 0)
