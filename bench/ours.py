"""tagdistill's rows of `crf_peers.py`: one for each kernel that this machine has."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from crf_problem import Provider, Result
from torch import Tensor

from tagdistill.crf import KernelError, LinearChain, use_kernel


def with_own_kernel(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Run an operation, its backward pass included, with the row's kernel."""

    @wraps(operation)
    def run(row: Tagdistill, *arguments: int) -> Any:
        with use_kernel(row.kernel):
            return operation(row, *arguments)

    return run


class Tagdistill(Provider):
    """Every operation as a caller writes it: a chain is built from the inputs each time."""

    name = "tagdistill"
    ours = True
    kernel = "torch"

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

    @with_own_kernel
    @torch.no_grad()
    def logz(self) -> Tensor:
        return self.chain().log_partition

    @with_own_kernel
    def nll(self) -> Result:
        return self.gradients(-self.chain().log_prob(self.p.tags).sum() / self.p.B)

    @with_own_kernel
    @torch.no_grad()
    def marginals(self) -> Tensor:
        return self.chain().marginals

    @with_own_kernel
    @torch.no_grad()
    def viterbi(self) -> Tensor:
        return self.chain().argmax

    @with_own_kernel
    @torch.no_grad()
    def kbest(self, k: int) -> tuple[Tensor, Tensor]:
        top = self.chain().top_k(k)
        return top.log_prob, top.labels

    @with_own_kernel
    def posterior_kd(self) -> Result:
        loss = self.chain().posterior_cross_entropy(self.log_posterior).sum() - self.p.entropy
        return self.gradients(loss / self.p.B)

    @with_own_kernel
    def topk_kd(self) -> Result:
        log_prob = self.chain().log_prob_of_paths(self.p.ktags)
        return self.gradients(-(self.p.kweights * log_prob).sum() / self.p.B)


class Compiled(Tagdistill):
    name = "tagdistill (compiled)"
    kernel = "compiled"


def compiled() -> type[Provider]:
    """Return the row of the compiled kernel. Raises ImportError where it cannot be built."""
    try:
        with use_kernel("compiled"):
            return Compiled
    except KernelError as why:
        raise ImportError(str(why)) from why


ROWS: dict[str, Callable[[], type[Provider]]] = {Tagdistill.name: lambda: Tagdistill, Compiled.name: compiled}
