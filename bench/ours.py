"""tagdistill's row of `crf_peers.py`: python bench/crf_peers.py --plugin bench/ours.py"""

from __future__ import annotations

import torch
from crf_problem import Provider, Result
from torch import Tensor

from tagdistill.crf import LinearChain


class Tagdistill(Provider):
    """Every operation as a caller writes it: a chain is built from the inputs each time."""

    name = "tagdistill"
    ours = True

    def setup(self) -> None:
        self.leaves = self.p.leaves()
        self.log_posterior = self.p.posterior.clamp_min(1e-30).log()

    def chain(self) -> LinearChain:
        emissions, transitions, start, end = self.leaves
        return LinearChain(emissions, transitions, self.p.lengths, start, end)

    def gradients(self, loss: Tensor) -> Result:
        for leaf in self.leaves:
            leaf.grad = None
        loss.backward()
        return float(loss.detach()), self.leaves[0].grad, self.leaves[1].grad

    @torch.no_grad()
    def logz(self) -> Tensor:
        return self.chain().log_partition

    def nll(self) -> Result:
        return self.gradients(-self.chain().log_prob(self.p.tags).sum() / self.p.B)

    @torch.no_grad()
    def marginals(self) -> Tensor:
        return self.chain().marginals

    @torch.no_grad()
    def viterbi(self) -> Tensor:
        return self.chain().argmax

    @torch.no_grad()
    def kbest(self, k: int) -> tuple[Tensor, Tensor]:
        top = self.chain().top_k(k)
        return top.log_prob, top.labels

    def posterior_kd(self) -> Result:
        loss = self.chain().posterior_cross_entropy(self.log_posterior).sum() - self.p.entropy
        return self.gradients(loss / self.p.B)

    def topk_kd(self) -> Result:
        log_prob = self.chain().log_prob_of_paths(self.p.ktags)
        return self.gradients(-(self.p.kweights * log_prob).sum() / self.p.B)


def providers() -> list[type[Provider]]:
    return [Tagdistill]
