"""On a GPU: the CPU's results at the sizes of real batches, without waiting for the device, in memory O(B T L)."""

from __future__ import annotations

import pytest
import torch
from enumeration import Inputs, random_inputs
from torch import Tensor

from tagdistill.crf import LinearChain

pytestmark = pytest.mark.cuda
SIZES = {"64x50x17": (64, 50, 17), "16x512x17": (16, 512, 17), "32x128x29": (32, 128, 29), "8x40x73": (8, 40, 73)}


def batch(size: tuple[int, int, int]) -> Inputs:
    sentences, time, labels = size
    lengths = torch.randint(1, time + 1, (sentences,), generator=torch.Generator().manual_seed(1)).tolist()
    return random_inputs([time, *lengths[1:]], labels, seed=2, sd=2.0)


def everything(inputs: Inputs, device: str) -> dict[str, Tensor]:
    leaves = [x.to(device, copy=True).requires_grad_() for x in inputs.leaves()]
    c = LinearChain(*inputs.with_leaves(leaves).arguments())
    target = random_inputs(inputs.lengths.tolist(), inputs.emissions.shape[2], seed=3).emissions.to(device)
    top = c.top_k(10)
    loss = c.posterior_cross_entropy(target, 2.0) - c.log_prob(c.argmax) + c.entropy()
    found = {"log Z": c.log_partition, "marginals": c.marginals, "edges": c.transition_marginals, "loss": loss}
    found |= {"argmax": c.argmax, "top-k labels": top.labels, "top-k": top.log_prob}
    for name, x in zip(
        ("emissions", "transitions", "start", "end"), torch.autograd.grad(loss.sum(), leaves), strict=True
    ):
        found[f"gradient to {name}"] = x
    return {name: x.detach().cpu() for name, x in found.items()}


@pytest.mark.parametrize("size", SIZES)
def test_a_gpu_gives_the_results_of_a_cpu(size: str, cuda: str) -> None:
    inputs = batch(SIZES[size])
    found, wanted = everything(inputs, cuda), everything(inputs, "cpu")
    for name, x in wanted.items():
        torch.testing.assert_close(found[name], x, rtol=1e-8, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("labels", [1, 2, 16, 17, 33, 64, 100, 128, 129])
def test_any_number_of_labels(labels: int, cuda: str) -> None:
    inputs = random_inputs([9, 4, 1], labels, seed=1)
    found, wanted = everything(inputs, cuda), everything(inputs, "cpu")
    for name in ("log Z", "marginals", "edges", "argmax", "top-k", "gradient to emissions", "gradient to transitions"):
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-8, atol=1e-8)


def test_nothing_waits_for_the_device(cuda: str) -> None:
    inputs = batch(SIZES["64x50x17"]).to(cuda)
    leaves = [x.clone().requires_grad_() for x in inputs.leaves()]
    lengths, gold = inputs.lengths.to(cuda), torch.zeros(inputs.emissions.shape[:2], dtype=torch.int64, device=cuda)
    target = torch.randn_like(inputs.emissions)
    torch.cuda.set_sync_debug_mode("error")
    try:
        c = LinearChain(leaves[0], leaves[1], lengths, *leaves[2:])
        paths = c.top_k(10)
        loss = c.posterior_cross_entropy(target) - c.log_prob(gold) - c.log_prob_of_paths(paths.labels).sum(1)
        loss = loss + c.entropy() + c.argmax.sum(1)
        loss.sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.isfinite(x.grad).all() for x in leaves)


@pytest.mark.parametrize("size", ["64x50x17", "16x512x17"])
def test_memory_grows_with_tokens_times_labels_and_not_with_pairs_of_labels(size: str, cuda: str) -> None:
    inputs = batch(SIZES[size]).to(cuda)
    leaves = [x.clone().requires_grad_() for x in inputs.leaves()]
    table = inputs.emissions.numel() * 8
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    c = LinearChain(leaves[0], leaves[1], inputs.lengths.to(cuda), *leaves[2:])
    (c.posterior_cross_entropy(torch.randn_like(inputs.emissions)) + c.log_partition).sum().backward()
    assert torch.cuda.max_memory_allocated() - before < 16 * table  # (pairs of labels would be at least 17 a token)
