"""What a chain holds is freed with its results: in a cycle it would stay until Python's collector runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from enumeration import random_inputs
from torch import Tensor

from tagdistill.crf import LinearChain

RESULTS: dict[str, Callable[[LinearChain], Tensor]] = {
    "log_partition": lambda c: c.log_partition,
    "marginals": lambda c: c.marginals,
    "log_marginals": lambda c: c.log_marginals,
    "transition_marginals": lambda c: c.transition_marginals,
    "entropy": lambda c: c.entropy(),
    "log_prob": lambda c: c.log_prob(torch.zeros(2, 4, dtype=torch.int64)),
    "posterior_cross_entropy": lambda c: c.posterior_cross_entropy(torch.zeros(2, 4, 3)),
}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", RESULTS)
def test_a_pass_is_freed_with_the_chain_and_its_results(name: str, dtype: torch.dtype, cpu_kernel: str) -> None:
    inputs = random_inputs([4, 2], 3, seed=1).to(dtype)
    chain = LinearChain(*inputs.with_leaves([x.requires_grad_() for x in inputs.leaves()]).arguments())
    result = RESULTS[name](chain)
    held = [weakref.ref(x) for x in (chain, chain._pass, chain._potentials.scores, result)]
    result.sum().backward()
    assert result.requires_grad and all(each() is not None for each in held)
    del chain, result
    assert [each() for each in held] == [None] * len(held)
