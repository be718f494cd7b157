"""How many calls of PyTorch small batches take: their number, not the work in them, is what a small batch costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from enumeration import random_inputs
from torch.utils._python_dispatch import TorchDispatchMode

from tagdistill.crf import LinearChain, use_kernel

LABELS = torch.tensor([[0, 1], [2, 0], [1, 1]])


# What PyTorch asks of itself for each view of a tensor as an array, in inference mode.
ASKED = ("aten.resolve_conj", "aten.resolve_neg", "aten.to.dtype_layout", "aten.detach")


class Calls(TorchDispatchMode):
    """Counts them, those of a backward pass too."""

    count = 0

    def __torch_dispatch__(self, call: Any, types: Any, arguments: tuple = (), options: dict | None = None) -> Any:
        self.count += not str(call).startswith(ASKED)
        return call(*arguments, **(options or {}))


@torch.no_grad()
def log_partition(c: LinearChain) -> None:
    _ = c.log_partition


@torch.no_grad()
def best_path(c: LinearChain) -> None:
    _ = c.argmax


def likelihood(c: LinearChain) -> None:
    c.log_prob(LABELS).sum().backward()


# A few more than there are: other versions of PyTorch may make others of one.
@pytest.mark.parametrize(("work", "most"), [(log_partition, 76), (best_path, 62), (likelihood, 150)])
def test_calls_of_a_chain_of_two_tokens(work: Callable[[LinearChain], None], most: int) -> None:
    def run() -> None:
        inputs = random_inputs([2, 1, 2], 3, seed=1).to(torch.float32)
        leaves = [x.requires_grad_(work is likelihood) for x in inputs.leaves()]
        arguments = inputs.with_leaves(leaves).arguments()
        with Calls() as calls:
            work(LinearChain(*arguments))
        found.append(calls.count)

    found: list[int] = []
    with use_kernel("torch"):
        run()  # positions of this shape are made once
        run()
    assert found[1] <= most
