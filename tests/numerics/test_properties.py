"""What holds for every chain, on potentials that hypothesis chooses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from enumeration import Inputs, random_inputs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tagdistill.crf import LinearChain, count

pytestmark = pytest.mark.usefixtures("cpu_kernel")

fast = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def chains(draw: st.DrawFn, most_time: int = 9, most_labels: int = 5) -> Inputs:
    lengths = draw(st.lists(st.integers(1, most_time), min_size=1, max_size=5))
    time = max(lengths) + draw(st.integers(0, 2))
    sd = draw(st.sampled_from([0.1, 2.0, 30.0, 100.0]))
    inputs = random_inputs(
        lengths, draw(st.integers(1, most_labels)), seed=draw(st.integers(0, 10**6)), sd=sd, time=time
    )
    if draw(st.booleans()):
        forbidden = torch.rand(inputs.transitions.shape, generator=torch.Generator().manual_seed(len(lengths))) < 0.3
        inputs = inputs.with_leaves(
            [inputs.emissions, inputs.transitions.masked_fill(forbidden, -1e4), inputs.start, inputs.end]
        )
    return inputs


def chain(inputs: Inputs) -> LinearChain:
    return LinearChain(*inputs.arguments())


def everything(inputs: Inputs, labels: Tensor, log_target: Tensor) -> dict[str, Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs.leaves()]
    c = chain(inputs.with_leaves(leaves))
    loss = -c.log_prob(labels).sum() + c.posterior_cross_entropy(log_target, 2.0).sum() + c.entropy().sum()
    loss.backward()
    out = {"log_partition": c.log_partition, "log_prob": c.log_prob(labels), "marginals": c.marginals}
    out |= {"log_marginals": c.log_marginals, "transition_marginals": c.transition_marginals, "argmax": c.argmax}
    top = c.top_k(4)
    out |= {"top_k": top.labels, "top_k log_prob": top.log_prob}
    for name, leaf in zip(("emissions", "transitions", "start", "end"), leaves, strict=True):
        assert leaf.grad is not None
        out["gradient of " + name] = leaf.grad
    return {name: x.detach() for name, x in out.items()}


def arguments(inputs: Inputs, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shape = inputs.emissions.shape
    return (
        torch.randint(0, shape[2], shape[:2], generator=random),
        torch.randn(shape, generator=random, dtype=torch.float64),
    )


@pytest.mark.parametrize("rubbish", [1e4, -1e30, float("nan"), float("inf")])
@fast
@given(inputs=chains())
def test_padding_never_reaches_a_result(rubbish: float, inputs: Inputs) -> None:
    labels, log_target = arguments(inputs)
    clean = everything(inputs, labels, log_target)
    outside = torch.arange(inputs.emissions.shape[1]) >= inputs.lengths[:, None]
    emissions = inputs.emissions.masked_fill(outside[..., None], rubbish)
    spoilt = inputs.with_leaves([emissions, inputs.transitions, inputs.start, inputs.end])
    again = everything(spoilt, labels.masked_fill(outside, -100), log_target.masked_fill(outside[..., None], rubbish))
    for name, value in clean.items():
        assert torch.equal(value, again[name]), name
    for name in ("marginals", "log_marginals", "argmax", "gradient of emissions"):
        assert (again[name][outside] == 0).all(), name


@fast
@given(inputs=chains(), seed=st.integers(0, 99))
def test_sentences_do_not_see_each_other(inputs: Inputs, seed: int) -> None:
    order = torch.randperm(len(inputs.lengths), generator=torch.Generator().manual_seed(seed))
    labels, log_target = arguments(inputs)
    shuffled = Inputs(inputs.emissions[order], inputs.transitions, inputs.lengths[order], inputs.start, inputs.end)
    straight = everything(inputs, labels, log_target)
    mixed = everything(shuffled, labels[order], log_target[order])
    for name, value in straight.items():
        shared = name in ("gradient of transitions", "gradient of start", "gradient of end")
        wanted = value if shared else value[order]
        torch.testing.assert_close(mixed[name], wanted, rtol=1e-9, atol=1e-7, msg=lambda m, name=name: f"{name}: {m}")


@fast
@given(inputs=chains())
def test_top_1_is_argmax_and_top_k_is_part_of_a_distribution(inputs: Inputs) -> None:
    c = chain(inputs)
    top = c.top_k(7)
    assert torch.equal(c.top_k(1).labels[:, 0], c.argmax)
    assert torch.equal(top.labels[:, 0], c.argmax)
    assert (top.log_prob.exp().sum(1) <= 1 + 1e-9).all()
    assert torch.equal(top.count, (top.log_prob > -torch.inf).sum(1))


@fast
@given(inputs=chains())
def test_marginals_are_distributions_that_agree_with_each_other(inputs: Inputs) -> None:
    c = chain(inputs)
    mask = (torch.arange(inputs.emissions.shape[1]) < inputs.lengths[:, None]).double()
    torch.testing.assert_close(c.marginals.sum(2), mask)
    torch.testing.assert_close(c.transition_marginals.sum((1, 2)), (inputs.lengths - 1).double(), rtol=1e-9, atol=1e-9)
    last = c.marginals[torch.arange(len(mask)), inputs.lengths - 1]
    leaving = c.marginals.sum(1) - last
    torch.testing.assert_close(c.transition_marginals.sum(2), leaving, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(c.log_marginals.exp() * mask[..., None], c.marginals)


@fast
@given(inputs=chains(), other=st.integers(0, 10**6))
def test_cross_entropy_is_never_below_entropy(inputs: Inputs, other: int) -> None:
    shape = inputs.emissions.shape
    twin = random_inputs(inputs.lengths.tolist(), shape[2], seed=other, time=shape[1])
    teacher, student = chain(inputs), chain(twin)
    size = teacher.cross_entropy(student).abs() + 1
    assert (teacher.entropy() > -1e-7 * size).all()
    assert (teacher.kl(student) > -1e-7 * size).all()
    torch.testing.assert_close(teacher.kl(teacher), torch.zeros(len(size), dtype=torch.float64))


def weighted_paths(teacher: LinearChain, student: LinearChain, k: int) -> Tensor:
    top = teacher.top_k(k)
    return -(top.weights * student.log_prob_of_paths(top.labels)).sum(1)


def test_top_wk_tends_to_the_structural_loss() -> None:
    teacher, student = (chain(random_inputs([5, 3, 1], 3, seed=s)) for s in (1, 2))
    exact = teacher.cross_entropy(student)
    errors = [float((weighted_paths(teacher, student, k) - exact).abs().max()) for k in (1, 30, 100, 243)]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 1e-10


LOSSES: dict[str, Callable[[LinearChain, Tensor, Tensor], Tensor]] = {
    "paths": lambda c, labels, weights: (weights * c.log_prob_of_paths(labels)).sum(1),
    "counts": lambda c, labels, weights: c.expected_log_prob(count(labels, weights, c.lengths, c.num_labels)),
}


@fast
@given(inputs=chains(), seed=st.integers(0, 99))
def test_counts_carry_all_that_a_weighted_path_loss_needs(inputs: Inputs, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    batch, time, size = inputs.emissions.shape
    labels = torch.randint(0, size, (batch, 3, time), generator=random)
    weights = torch.rand(batch, 3, generator=random, dtype=torch.float64).softmax(1)
    results = []
    for loss in LOSSES.values():
        leaves = [x.clone().requires_grad_() for x in inputs.leaves()]
        value = loss(chain(inputs.with_leaves(leaves)), labels, weights)
        results.append([value, *torch.autograd.grad(value.sum(), leaves)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_structural_targets_equal_the_chain_they_came_from() -> None:
    teacher, student = (chain(random_inputs([5, 3, 1], 3, seed=s)) for s in (1, 2))
    torch.testing.assert_close(-student.expected_log_prob(teacher.counts), teacher.cross_entropy(student))


def test_global_and_local_temperature_differ() -> None:
    c = chain(random_inputs([4], 3, seed=4))
    local = (c.log_marginals / 4).softmax(-1)
    assert (local - c.tempered(4.0).marginals).abs().max() > 0.01
