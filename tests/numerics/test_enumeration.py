"""Every value and gradient of a chain equals the one found by listing all paths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from chains import Kernel
from enumeration import Enumeration, Inputs, random_inputs
from torch import Tensor

from tagdistill.crf import LinearChain, count, layout
from tagdistill.crf.kernels import scaled
from tagdistill.crf.kernels.selection import force_kernel
from tagdistill.crf.paths import PathCounts

TIME, LABELS = 5, 3
LEAVES = ("emissions", "transitions", "start", "end")  # as Inputs.leaves() has them
INPUTS = random_inputs([5, 1, 3, 2], LABELS, seed=1)
OTHER = random_inputs([5, 1, 3, 2], LABELS, seed=2)
LOG_TARGET = Enumeration(OTHER).log_marginals
GOLD = torch.randint(0, LABELS, (4, TIME), generator=torch.Generator().manual_seed(3))
PATHS = torch.randint(0, LABELS, (4, 6, TIME), generator=torch.Generator().manual_seed(4))
WEIGHTS = torch.rand(4, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64).softmax(1)


def chain(inputs: Inputs) -> LinearChain:
    return LinearChain(*inputs.arguments())


def beside(c: LinearChain) -> LinearChain:
    """The other chain, on the same device."""
    return LinearChain(*OTHER.to(c.emissions.device).arguments())


def paths_by_listing(twin: Enumeration) -> Tensor:
    return torch.stack([twin.log_prob(PATHS[:, i]) for i in range(PATHS.shape[1])], 1)


QUANTITIES: dict[str, tuple[Callable[[LinearChain], Tensor], Callable[[Enumeration], Tensor]]] = {
    "log partition": (lambda c: c.log_partition, lambda e: e.log_partition),
    "log-probability of labels": (lambda c: c.log_prob(GOLD), lambda e: e.log_prob(GOLD)),
    "log-probability of k paths": (lambda c: c.log_prob_of_paths(PATHS), paths_by_listing),
    "marginals": (lambda c: c.marginals, lambda e: e.marginals),
    "log-marginals": (lambda c: c.log_marginals, lambda e: e.log_marginals),
    "transition marginals": (lambda c: c.transition_marginals, lambda e: e.transition_marginals),
    "entropy": (lambda c: c.entropy(), lambda e: e.entropy()),
    "cross-entropy of a teacher": (
        lambda c: beside(c).cross_entropy(c),
        lambda e: Enumeration(OTHER).cross_entropy(e),
    ),
    "cross-entropy to a student": (
        lambda c: c.cross_entropy(beside(c)),
        lambda e: e.cross_entropy(Enumeration(OTHER)),
    ),
    "kl": (lambda c: beside(c).kl(c), lambda e: Enumeration(OTHER).kl(e)),
    "posterior": (
        lambda c: c.posterior_cross_entropy(LOG_TARGET),
        lambda e: e.posterior_cross_entropy(LOG_TARGET),
    ),
    "posterior, T = 4": (
        lambda c: c.posterior_cross_entropy(LOG_TARGET, 4.0),
        lambda e: e.posterior_cross_entropy(LOG_TARGET, 4.0),
    ),
    "posterior, T = 0.5": (
        lambda c: c.posterior_cross_entropy(LOG_TARGET, 0.5),
        lambda e: e.posterior_cross_entropy(LOG_TARGET, 0.5),
    ),
    "weighted paths": (
        lambda c: c.expected_log_prob(count(PATHS, WEIGHTS, INPUTS.lengths, LABELS)),
        lambda e: (paths_by_listing(e) * WEIGHTS).sum(1),
    ),
}


def value_and_gradients(function: Callable[[Inputs], Tensor], inputs: Inputs) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs.leaves()]
    value = function(inputs.with_leaves(leaves))
    # Uneven weights, so that errors cannot cancel between cells.
    weights = torch.linspace(0.3, 1.7, value.numel(), dtype=torch.float64, device=value.device)
    gradients = torch.autograd.grad((value * weights.view_as(value).to(value)).sum(), leaves)
    return [value.detach(), *gradients]


@pytest.mark.parametrize("name", QUANTITIES)
def test_values_and_gradients_equal_the_sum_over_all_paths(name: str, kernel: Kernel) -> None:
    ours, twin = QUANTITIES[name]
    found = value_and_gradients(lambda x: ours(kernel.chain(x)).cpu(), INPUTS)
    wanted = value_and_gradients(lambda x: twin(Enumeration(x)), INPUTS)
    for part, a, b in zip(("value", "emissions", "transitions", "start", "end"), found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11, msg=lambda m, part=part: f"{name}, {part}: {m}")


@pytest.mark.parametrize("name", QUANTITIES)
def test_values_are_the_same_without_a_graph(name: str, kernel: Kernel) -> None:
    ours, twin = QUANTITIES[name]
    with torch.no_grad():
        torch.testing.assert_close(ours(kernel.chain(INPUTS)).cpu(), twin(Enumeration(INPUTS)), rtol=1e-10, atol=1e-11)


@pytest.mark.cuda
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", QUANTITIES)
def test_loops_of_torch_calls_on_a_gpu(name: str, check: bool, cuda: str) -> None:
    """What a GPU without Triton runs: the probability-space kernel with `check`, the log-space one without."""
    ours, twin = QUANTITIES[name]
    with force_kernel("scaled" if check else "log_space"):
        found = value_and_gradients(lambda x: ours(LinearChain(*x.to(cuda).arguments(), check=check)).cpu(), INPUTS)
    wanted = value_and_gradients(lambda x: twin(Enumeration(x)), INPUTS)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_one_pass_serves_all_losses_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    run = scaled.KERNEL.forward_backward
    monkeypatch.setattr(scaled.KERNEL, "forward_backward", lambda potentials: calls.append(1) or run(potentials))
    student = chain(INPUTS.with_leaves([x.clone().requires_grad_() for x in INPUTS.leaves()]))
    loss = -student.log_prob(GOLD) - student.log_prob_of_paths(PATHS).mean(1)
    loss = loss + student.posterior_cross_entropy(LOG_TARGET, 2.0) + student.log_partition
    loss.sum().backward()
    assert len(calls) == 1


def test_results_asked_for_without_a_graph_do_not_lose_later_gradients() -> None:
    leaves = [x.clone().requires_grad_() for x in INPUTS.leaves()]
    student = chain(INPUTS.with_leaves(leaves))
    with torch.no_grad():
        _ = student.log_partition, student.marginals, student.top_k(2)
    student.log_partition.sum().backward()
    assert all(x.grad is not None for x in leaves)


@pytest.mark.parametrize("needing", [("emissions",), ("transitions",), ("start", "end"), ("transitions", "end")])
def test_only_what_needs_a_gradient_gets_one(needing: tuple[str, ...], kernel: Kernel) -> None:
    def gradients(names: tuple[str, ...]) -> list[Tensor | None]:
        leaves = [x.to(kernel.device, copy=True) for x in INPUTS.leaves()]
        for name, leaf in zip(LEAVES, leaves, strict=True):
            leaf.requires_grad_(name in names)
        c = kernel.chain(INPUTS.with_leaves(leaves))
        (c.log_prob(GOLD).sum() + c.posterior_cross_entropy(LOG_TARGET).sum()).backward()
        return [x.grad for x in leaves]

    for name, found, wanted in zip(LEAVES, gradients(needing), gradients(LEAVES), strict=True):
        if name in needing:
            torch.testing.assert_close(found, wanted)
        else:
            assert found is None, name


@pytest.mark.parametrize("first", ["log_partition", "marginals", "log_marginals", "argmax"])
@pytest.mark.parametrize("learned", [True, False])
def test_no_result_refuses_gradients(kernel: Kernel, first: str, learned: bool) -> None:
    # Kernels compute in inference mode, whose tensors autograd can neither save nor change.
    leaves = [x.detach().to(kernel.device).requires_grad_(learned) for x in INPUTS.leaves()]
    c = kernel.chain(INPUTS.with_leaves(leaves))
    results = [getattr(c, first), c.mask, c.argmax, c.log_partition, *c.counts, c.top_k(3).labels]
    student = beside(c).tempered(torch.ones((), device=kernel.device, requires_grad=True))
    counts = [x.detach().requires_grad_() for x in beside(c).counts]
    loss = c.log_prob(GOLD.to(kernel.device)) + c.expected_log_prob(PathCounts(*counts)) + c.kl(student) + c.entropy()
    (loss + c.posterior_cross_entropy(LOG_TARGET)).sum().backward()
    results += [x.grad for x in (*counts, *(leaves if learned else ()))]
    assert [x.is_inference() for x in results] == [False] * len(results)


def test_a_chain_of_inference_mode_leaves_nothing_behind_that_refuses_gradients() -> None:
    """Positions are kept from one chain to the next of its shape."""
    layout._kept_positions.cache_clear()
    with torch.inference_mode():
        _ = chain(INPUTS).argmax
    kept = layout._kept_positions(*GOLD.shape)
    assert layout._kept_positions.cache_info().hits
    assert not any(x.is_inference() for x in kept)


def test_missing_start_and_end_are_zero() -> None:
    zero = torch.zeros(LABELS, dtype=torch.float64)
    bare = LinearChain(INPUTS.emissions, INPUTS.transitions, INPUTS.lengths)
    full = LinearChain(INPUTS.emissions, INPUTS.transitions, INPUTS.lengths, zero, zero)
    assert torch.equal(bare.log_partition, full.log_partition)
    assert torch.equal(bare.argmax, full.argmax)


def test_a_second_derivative_is_refused() -> None:
    emissions = INPUTS.emissions.clone().requires_grad_()
    log_z = LinearChain(emissions, INPUTS.transitions, INPUTS.lengths).log_partition.sum()
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(log_z, emissions, create_graph=True)


def test_tempered_divides_every_score() -> None:
    warm = chain(INPUTS.with_leaves([x / 3 for x in INPUTS.leaves()]))
    torch.testing.assert_close(chain(INPUTS).tempered(3.0).log_partition, warm.log_partition)
    torch.testing.assert_close(chain(INPUTS).tempered(3.0).marginals, warm.marginals)


def test_the_tempered_gradient_is_that_of_signed_targets_at_temperature_one() -> None:
    temperature = 3.0
    q = (Enumeration(INPUTS).log_marginals / temperature).softmax(-1)
    signed = temperature * ((LOG_TARGET / temperature).softmax(-1) - q)
    found = value_and_gradients(lambda x: chain(x).posterior_cross_entropy(LOG_TARGET, temperature), INPUTS)
    mask = Enumeration(INPUTS).mask[..., None]
    wanted = value_and_gradients(lambda x: -(signed * mask * Enumeration(x).log_marginals).sum((1, 2)), INPUTS)
    for a, b in zip(found[1:], wanted[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_log_marginals_of_a_student_train_a_teacher_posterior() -> None:
    """The loss written with `log_marginals` has the value and gradients of the one with analytic gradients."""
    target = LOG_TARGET.exp() * Enumeration(INPUTS).mask[..., None]
    analytic = value_and_gradients(lambda x: chain(x).posterior_cross_entropy(LOG_TARGET), INPUTS)
    plain = value_and_gradients(lambda x: -(target * chain(x).log_marginals).sum((1, 2)), INPUTS)
    for a, b in zip(analytic, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_strided_inputs_labels_and_gradients() -> None:
    """What a caller transposed or expanded gives what a contiguous copy gives."""
    leaves = [x.clone().requires_grad_() for x in INPUTS.leaves()]
    emissions = leaves[0].transpose(0, 2).contiguous().transpose(0, 2)
    edges = leaves[1].t().contiguous().t()
    strided = LinearChain(emissions, edges, INPUTS.lengths, *leaves[2:])
    labels = PATHS.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    torch.testing.assert_close(strided.log_prob_of_paths(labels), chain(INPUTS).log_prob_of_paths(PATHS))
    torch.testing.assert_close(strided.log_prob(labels[:, 0]), chain(INPUTS).log_prob(PATHS[:, 0]))
    target = LOG_TARGET.transpose(0, 1).contiguous().transpose(0, 1)
    weight = torch.ones((), dtype=torch.float64).expand(4, TIME, LABELS)
    loss = (strided.log_marginals * weight).sum() + (strided.marginals.transpose(0, 2) ** 2).sum()
    loss = loss + strided.posterior_cross_entropy(target).sum() + strided.transition_marginals.transpose(1, 2).sum()
    found = torch.autograd.grad(loss, leaves)
    plain = value_and_gradients(
        lambda x: (
            (
                chain(x).log_marginals.sum()
                + (chain(x).marginals ** 2).sum()
                + chain(x).posterior_cross_entropy(LOG_TARGET).sum()
                + chain(x).transition_marginals.sum()
            )[None]
            / 0.3
        ),
        INPUTS,
    )
    for a, b in zip(found, plain[1:], strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", QUANTITIES)
def test_without_looking_at_the_values_the_results_are_the_same(name: str) -> None:
    ours, twin = QUANTITIES[name]
    unseen = LinearChain(*INPUTS.arguments(), check=False)
    torch.testing.assert_close(ours(unseen), twin(Enumeration(INPUTS)), rtol=1e-10, atol=1e-11)
