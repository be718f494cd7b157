"""Extreme scores: all results finite and right, whichever kernel they need."""

from __future__ import annotations

import pytest
import torch
from chains import Kernel
from enumeration import Enumeration, Inputs, looped_log_partition, looped_marginals, random_inputs
from torch import Tensor

from tagdistill.crf import LinearChain
from tagdistill.crf.kernels import scaled
from tagdistill.crf.kernels.dispatch import prepare
from tagdistill.crf.kernels.selection import force_kernel

FORBIDDEN = -1e4


def stressed(
    lengths: list[int], labels: int, sd: float, *, seed: int = 0, forbid: float = 0.0, ends: bool = False
) -> Inputs:
    """Random potentials with a share of the transitions forbidden, and of the start and end labels too."""
    inputs = random_inputs(lengths, labels, seed=seed, sd=sd)
    random = torch.Generator().manual_seed(seed)

    def forbidden(x: Tensor) -> Tensor:
        return x.masked_fill(torch.rand(x.shape, generator=random) < forbid, FORBIDDEN)

    start, end = (forbidden(inputs.start), forbidden(inputs.end)) if ends else (inputs.start, inputs.end)
    return inputs.with_leaves([inputs.emissions, forbidden(inputs.transitions), start, end])


CASES = {
    "ordinary": stressed([60, 31, 1], 9, 2.0),
    "sd 30": stressed([60, 31, 1], 9, 30.0),
    "sd 100": stressed([60, 31, 1], 9, 100.0),
    "sd 100, long": stressed([512, 511, 2, 1], 9, 100.0),
    "sd 2, long": stressed([512, 300, 1], 17, 2.0),
    "forbidden": stressed([60, 31, 1], 9, 2.0, forbid=0.4, ends=True),
    "forbidden, sd 30": stressed([60, 31, 1], 9, 30.0, forbid=0.4, ends=True),
    "forbidden, sd 100": stressed([60, 31, 1], 9, 100.0, forbid=0.4, ends=True),
    "forbidden, sd 100, long": stressed([512, 200, 1], 9, 100.0, forbid=0.4, ends=True),
    "all forbidden": stressed([20, 1], 5, 2.0, forbid=1.1, ends=True),
    "wide transitions": random_inputs([40, 3], 6, sd=5.0, edge_sd=60.0),
}

INTERPRETED = [("forbidden, sd 100", torch.float64), ("all forbidden", torch.float32)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_stress(name: str, dtype: torch.dtype, kernel: Kernel) -> None:
    if kernel.interpreted and (name, dtype) not in INTERPRETED:
        pytest.skip("interpreting the GPU's kernels takes too long; a GPU runs this")
    inputs = CASES[name].to(dtype)
    leaves = [x.to(kernel.device, copy=True).requires_grad_() for x in inputs.leaves()]
    c = LinearChain(*inputs.with_leaves(leaves).arguments())
    exact = inputs.to(torch.float64)
    exact = exact.with_leaves([x.clone().requires_grad_() for x in exact.leaves()])
    tight = 1e-9 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(
        c.log_partition.double().cpu(), looped_log_partition(exact), rtol=tight, atol=tight, check_dtype=False
    )
    marginals = looped_marginals(exact)
    torch.testing.assert_close(c.marginals.double().cpu(), marginals, rtol=0, atol=1e-6)
    assert torch.isfinite(c.log_marginals).all()
    target = torch.randn(inputs.emissions.shape, generator=torch.Generator().manual_seed(1))
    for temperature in (1.0, 4.0):
        loss = c.posterior_cross_entropy(target.to(dtype), temperature) + c.entropy() - c.log_prob(c.argmax)
        assert torch.isfinite(loss).all()
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss.sum(), leaves, retain_graph=True))
    top = c.top_k(5)
    assert torch.isfinite(top.log_prob[top.count == 5]).all()
    assert torch.equal(top.labels[:, 0], c.argmax)


@pytest.mark.parametrize("sd", [2.0, 30.0, 100.0])
@pytest.mark.parametrize("forbid", [0.0, 0.4])
def test_stressed_gradients_equal_enumeration(sd: float, forbid: float, kernel: Kernel) -> None:
    inputs = stressed([5, 1, 3], 3, sd, seed=7, forbid=forbid, ends=True)
    target = Enumeration(random_inputs([5, 1, 3], 3, seed=8)).log_marginals

    def gradients(cls: type) -> list[Tensor]:
        leaves = [x.clone().requires_grad_() for x in inputs.leaves()]
        given = inputs.with_leaves(leaves)
        twin = Enumeration(given) if cls is Enumeration else kernel.chain(given)
        loss = twin.posterior_cross_entropy(target, 2.0).sum() + twin.entropy().sum() + twin.log_partition.sum()
        return [loss.detach().cpu(), *torch.autograd.grad(loss, leaves)]

    for a, b in zip(gradients(LinearChain), gradients(Enumeration), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


def test_two_closed_blocks_of_labels_are_both_remembered() -> None:
    """A kernel that lets the momentarily worse block underflow never gets it back."""
    lengths = [400]
    inputs = random_inputs(lengths, 4, seed=2, sd=1.0)
    edges = inputs.transitions.clone()
    edges[:2, 2:] = edges[2:, :2] = FORBIDDEN
    emissions = inputs.emissions.clone()
    # The first block is far behind at both ends and far ahead in the middle; by the end it has won.
    emissions[0, :100, :2] -= 10.0
    emissions[0, 100:300, :2] += 13.0
    emissions[0, 300:, :2] -= 10.0
    exact = inputs.with_leaves([emissions.requires_grad_(), edges, inputs.start, inputs.end])
    c = LinearChain(*exact.with_leaves([x.detach() for x in exact.leaves()]).arguments())
    torch.testing.assert_close(c.marginals, looped_marginals(exact), rtol=0, atol=1e-9)
    assert c.marginals[0, :, :2].sum() > 399


@pytest.mark.parametrize("spread", [250.0, 450.0, 600.0, 640.0])
@pytest.mark.parametrize("labels", [9, 64])
def test_sums_that_grow_do_not_push_small_factors_out_of_range(labels: int, spread: float, kernel: Kernel) -> None:
    """Between two rescalings many labels that are as good as each other sum to labels^tokens."""
    if kernel.interpreted:
        pytest.skip("interpreting the GPU's kernels takes too long; a GPU runs this")
    time = 90
    emissions = torch.zeros(1, time, labels, dtype=torch.float64)
    emissions[..., 0] = -spread
    nothing = torch.zeros(labels, dtype=torch.float64)
    edges = torch.zeros(labels, labels, dtype=torch.float64)
    c = kernel.chain(Inputs(emissions, edges, torch.tensor([time]), nothing, nothing))
    wanted = emissions.log_softmax(-1)  # without transitions tokens are independent
    torch.testing.assert_close(c.log_marginals.cpu(), wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(c.marginals.cpu(), wanted.exp(), rtol=0, atol=1e-12)


def cycle(labels: int, time: int, edge: float, spread: float, *, turned: bool) -> tuple[Tensor, ...]:
    """A sentence whose tokens prefer one label by `spread`, and whose labels prefer a cycle of transitions by `edge`.

    No path has both, so what a kernel multiplies comes near the end of its range, as with random scores it never does.
    turned: every other token prefers the last label.
    """
    emissions = torch.zeros(1, time, labels, dtype=torch.float64)
    emissions[..., 0] = spread
    if turned:
        emissions[:, ::2] = emissions[:, ::2].flip(-1)
    edges = edge * torch.eye(labels, dtype=torch.float64).roll(1, 1)
    return emissions, edges, torch.tensor([time])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("cpp", cycle(5, 41, 150.0, 300.0, turned=True)),
        ("scaled", cycle(2, 41, 20.0, 50.0, turned=False)),
        ("scaled", cycle(2, 41, 20.0, 300.0, turned=False)),
        ("scaled", cycle(2, 20, 40.0, 100.0, turned=False)),
    ],
)
def test_a_kernel_in_probability_space_is_exact_at_the_limit_of_its_range(
    name: str, given: tuple[Tensor, ...], request: pytest.FixtureRequest
) -> None:
    if name == "cpp":  # it takes logarithms where the limit is passed, sentence by sentence
        request.getfixturevalue("compiler")
    with force_kernel("log_space"):
        wanted = LinearChain(*given)
    with force_kernel(name):
        c = LinearChain(*given)
    torch.testing.assert_close(c.log_marginals, wanted.log_marginals, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(c.transition_marginals, wanted.transition_marginals, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("forbidden", [0.0, FORBIDDEN])
def test_what_is_added_to_all_scores_of_a_token_costs_no_digits(forbidden: float, kernel: Kernel) -> None:
    if kernel.name == "triton":
        pytest.skip("the GPU's kernels keep the scores as they are")
    given = random_inputs([6, 4, 3], 3, seed=1)
    emissions, edges = (given.emissions + 1e6) - 1e6, given.transitions.clone()  # rounded as the higher ones are
    edges[0, 1] += forbidden
    exact = Enumeration(Inputs(emissions, edges, *given.arguments()[2:]))
    c = kernel.chain(Inputs(emissions + 1e6, edges, *given.arguments()[2:]))
    torch.testing.assert_close(c.marginals, exact.marginals, rtol=0, atol=1e-10)
    torch.testing.assert_close(c.entropy(), exact.entropy(), rtol=0, atol=1e-7)  # two sums of 1e7 cancel


@pytest.mark.parametrize("name", CASES)
def test_the_fast_kernel_is_chosen_where_nothing_can_underflow(name: str) -> None:
    kernel, potentials, *_ = prepare(*CASES[name].arguments())
    every = scaled.rescale_interval(potentials)
    assert (kernel is scaled.KERNEL) == (every > 0)
    if name.startswith("forbidden"):
        assert every == 0
    elif name == "wide transitions":
        assert every < scaled.MAX_INTERVAL
    elif "sd 100" not in name:
        assert every == scaled.MAX_INTERVAL
    if every:
        passed = scaled.KERNEL.forward_backward(potentials)
        assert float(passed.scan.state.min()) > 1e-290
        assert float((passed.row_marginals * passed.total).min()) > 1e-300


def test_a_chain_is_of_the_values_it_was_made_with(kernel: Kernel) -> None:
    """float64 is what the kernels read: an optimiser's step must not reach into a chain that still answers."""
    given, wanted = random_inputs([6, 3], 4, seed=1), kernel.chain(random_inputs([6, 3], 4, seed=1))
    inputs = given.to(kernel.device)
    c = LinearChain(*inputs.arguments())
    partition = c.log_partition
    for x in inputs.leaves():
        x.mul_(-3.0).add_(1.0)
    inputs.lengths.fill_(inputs.lengths.max() + 100)  # what the compiled kernel believes is where it writes
    torch.testing.assert_close(partition, wanted.log_partition)
    torch.testing.assert_close(c.transition_marginals, wanted.transition_marginals)
    torch.testing.assert_close(c.marginals, wanted.marginals)
    assert torch.equal(c.argmax, wanted.argmax)


@pytest.mark.parametrize("gradient", [False, True])
def test_what_is_written_into_a_result_does_not_come_back(gradient: bool, kernel: Kernel) -> None:
    inputs = random_inputs([6, 3], 4, seed=1)
    c = kernel.chain(inputs.with_leaves([x.requires_grad_(gradient) for x in inputs.leaves()]))
    names = ("log_partition", "marginals", "log_marginals", "transition_marginals", "argmax")
    wanted = {name: getattr(c, name).detach().clone() for name in names}
    for name in names:
        getattr(c, name).detach().fill_(7)
        for other, value in wanted.items():
            assert torch.equal(getattr(c, other), value), f"{other} after {name}"
