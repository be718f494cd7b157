"""float32 inputs: errors against float64 references, at the sizes of real batches."""

from __future__ import annotations

import pytest
import torch
from enumeration import Inputs, looped_log_partition, looped_marginals, random_inputs
from torch import Tensor

from tagdistill.crf import LinearChain

pytestmark = pytest.mark.usefixtures("cpu_kernel")

SIZES = {"32x30x9": (32, 30, 9), "64x50x17": (64, 50, 17), "16x512x17": (16, 512, 17), "16x128x29": (16, 128, 29)}


def single(size: tuple[int, int, int]) -> Inputs:
    batch, time, labels = size
    lengths = torch.randint(1, time + 1, (batch,), generator=torch.Generator().manual_seed(1)).tolist()
    lengths[0] = time
    return random_inputs(lengths, labels, seed=2, sd=2.0, edge_sd=0.7).to(torch.float32)


def with_gradients(inputs: Inputs) -> Inputs:
    return inputs.with_leaves([x.clone().requires_grad_() for x in inputs.leaves()])


def error(found: Tensor, wanted: Tensor) -> float:
    found, wanted = found.detach().double(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-3))


@pytest.mark.parametrize("size", SIZES)
def test_float32_errors(size: str) -> None:
    inputs = single(SIZES[size])
    ours, exact = with_gradients(inputs), with_gradients(inputs.to(torch.float64))
    c = LinearChain(*ours.arguments())
    log_z = looped_log_partition(exact)
    assert c.log_partition.dtype == c.marginals.dtype == torch.float32
    assert error(c.log_partition, log_z) < 1e-6
    assert error(c.marginals, looped_marginals(exact)) < 1e-6

    log_target = torch.randn(inputs.emissions.shape, generator=torch.Generator().manual_seed(3))
    mask = torch.arange(inputs.emissions.shape[1]) < inputs.lengths[:, None]
    target = log_target.double().softmax(-1) * mask[..., None]
    loss = {"nll": -c.log_prob(c.argmax).sum(), "posterior": c.posterior_cross_entropy(log_target).sum()}
    student = looped_marginals(exact, graph=True).clamp_min(1e-300).log()
    wanted = {
        "nll": looped_log_partition(exact).sum() - best_score(exact, c.argmax),
        "posterior": -(target * student).sum(),
    }
    for name, bar in (("nll", 1e-6), ("posterior", 1e-4)):
        found = torch.autograd.grad(loss[name], ours.leaves(), retain_graph=True)
        want = torch.autograd.grad(wanted[name], exact.leaves(), retain_graph=True)
        assert all(g.dtype == torch.float32 for g in found)
        assert max(error(a, b) for a, b in zip(found, want, strict=True)) < bar, name


def best_score(inputs: Inputs, labels: Tensor) -> Tensor:
    mask = (torch.arange(labels.shape[1]) < inputs.lengths[:, None]).double()
    emitted = (inputs.emissions.gather(2, labels[..., None])[..., 0] * mask).sum()
    moved = (inputs.transitions[labels[:, :-1], labels[:, 1:]] * mask[:, 1:]).sum()
    last = labels.gather(1, inputs.lengths[:, None] - 1)[:, 0]
    return emitted + moved + inputs.start[labels[:, 0]].sum() + inputs.end[last].sum()


def test_teacher_and_student_may_differ_in_dtype() -> None:
    teacher, student = random_inputs([5, 2], 3, seed=1), random_inputs([5, 2], 3, seed=2)
    exact = LinearChain(*teacher.arguments()).cross_entropy(LinearChain(*student.arguments()))
    mixed = LinearChain(*teacher.arguments()).cross_entropy(LinearChain(*student.to(torch.float32).arguments()))
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), exact, rtol=1e-6, atol=1e-6)
    half = LinearChain(*teacher.to(torch.bfloat16).arguments())
    assert half.kl(LinearChain(*student.to(torch.float32).arguments())).dtype == torch.float32
