"""Every distillation objective, value and gradients, against the list of all label sequences."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from chains import Kernel
from enumeration import Enumeration, Inputs, random_inputs
from torch import Tensor
from torch.testing import assert_close

from tagdistill.crf import LinearChain
from tagdistill.distill import losses
from tagdistill.distill.export_targets import targets_of
from tagdistill.distill.losses import load_loss
from tagdistill.distill.score_table import Scores
from tagdistill.distill.target_table import read_targets, write_targets
from tagdistill.distill.teacher_chains import expected_counts
from tagdistill.distill.teacher_values import TeacherValues
from tagdistill.models.batches import gather
from tagdistill.settings.objectives import OBJECTIVES
from tagdistill.training.loss import mixed_loss

LABELS, K = 3, 5
LENGTHS = [4, 1, 3, 2]  # a sentence of one token has 3 sequences: fewer than K
DISTILLING = [name for name, objective in OBJECTIVES.items() if objective.needs]
student_of = partial(random_inputs, LENGTHS, LABELS, seed=1)
teacher_of = partial(random_inputs, LENGTHS, LABELS, seed=2)


def targets(inputs: Inputs, k: int = K) -> TeacherValues:
    """All that a teacher says, by enumeration."""
    listed = Enumeration(inputs)
    batch, time, _ = inputs.emissions.shape
    paths = torch.zeros(batch, k, time, dtype=torch.int64)
    log_prob = torch.full((batch, k), -torch.inf, dtype=torch.float64)
    for row, (found, scores) in enumerate(zip(*listed.top_k(k), strict=True)):
        paths[row, : len(found), : found.shape[1]] = found
        log_prob[row, : len(found)] = scores
    return TeacherValues(
        log_posterior=listed.log_marginals,
        paths=paths,
        path_log_prob=log_prob,
        unary=listed.marginals,
        pairs=listed.transition_marginals,
        emissions=inputs.emissions,
        transitions=inputs.transitions.expand(batch, -1, -1),
    )


def on_device(teacher: TeacherValues, device: str) -> TeacherValues:
    return replace(teacher, **{f.name: getattr(teacher, f.name).to(device) for f in fields(teacher)})


def chain(inputs: Inputs) -> LinearChain:
    return LinearChain(*inputs.arguments())


# ---- the slow twins: one loss a sentence


def local(student: Inputs, target: Tensor, temperature: float) -> Tensor:
    mask = Enumeration(student).mask
    p, q = (target / temperature).softmax(-1), (student.emissions / temperature).log_softmax(-1)
    return torch.stack(
        [-(temperature**2) * (p[row][mask[row]] * q[row][mask[row]]).sum() for row in range(len(student.lengths))]
    )


def listed_paths(student: Inputs, teacher: Inputs, k: int, *, weighted: bool) -> Tensor:
    ours, theirs = Enumeration(student), Enumeration(teacher)
    losses = []
    for log_p, log_q in zip(theirs.log_probs, ours.log_probs, strict=True):
        best = log_p.argsort(descending=True)[:k]
        weights = log_p[best].softmax(0) if weighted else torch.full((len(best),), 1 / len(best), dtype=torch.float64)
        losses.append(-(weights * log_q[best]).sum())
    return torch.stack(losses)


def posterior(student: Inputs, teacher: Inputs, temperature: float) -> Tensor:
    return Enumeration(student).posterior_cross_entropy(Enumeration(teacher).log_marginals, temperature)


def squared(student: Inputs, teacher: Inputs) -> Tensor:
    losses = []
    for row, n in enumerate(student.lengths.tolist()):
        ours, theirs = student.emissions[row, :n], teacher.emissions[row, :n]
        words = (ours - ours.mean(1, keepdim=True)) - (theirs - theirs.mean(1, keepdim=True))
        edges = student.transitions - student.transitions.mean() - (teacher.transitions - teacher.transitions.mean())
        losses.append((words**2).mean(1).sum() + (n - 1) * (edges**2).mean())
    return torch.stack(losses)


SLOW = {
    "token": lambda s, t, temperature: local(s, Enumeration(t).log_marginals, temperature),
    "emission": lambda s, t, temperature: local(s, t.emissions, temperature),
    "top_k": lambda s, t, temperature: listed_paths(s, t, K, weighted=False),
    "top_wk": lambda s, t, temperature: listed_paths(s, t, K, weighted=True),
    "posterior": posterior,
    "posterior+top_wk": lambda s, t, temperature: (
        (posterior(s, t, temperature) + listed_paths(s, t, K, weighted=True)) / 2
    ),
    "pseudo_labels": lambda s, t, temperature: listed_paths(s, t, 1, weighted=False),
    "structural": lambda s, t, temperature: Enumeration(t).cross_entropy(Enumeration(s)),
    "scores": lambda s, t, temperature: squared(s, t),
}


def value_and_gradients(loss, inputs: Inputs) -> tuple[Tensor, list[Tensor]]:
    """Return the losses and the gradients of a weighted sum of them: a mean over sentences would not pass for one."""
    leaves = [leaf.clone().requires_grad_() for leaf in inputs.leaves()]
    losses = loss(inputs.with_leaves(leaves))
    weights = torch.arange(1.0, len(losses) + 1, dtype=torch.float64)
    found = torch.autograd.grad((weights * losses).sum(), leaves, allow_unused=True)
    return losses.detach(), [torch.zeros_like(g) if f is None else f for f, g in zip(found, leaves, strict=True)]


@pytest.mark.parametrize("name", DISTILLING)
@pytest.mark.parametrize("temperature", [1.0, 2.25, 4.0])
def test_value_and_gradients_equal_enumeration(name, temperature, kernel: Kernel):
    student, teacher = student_of(), teacher_of()
    teacher_values = on_device(targets(teacher), kernel.device)
    ours = value_and_gradients(
        lambda inputs: load_loss(name)(kernel.chain(inputs), teacher_values, temperature).cpu(), student
    )
    slow = value_and_gradients(lambda inputs: SLOW[name](inputs, teacher, temperature), student)
    assert_close(ours, slow, rtol=1e-10, atol=1e-10)
    assert slow[0].shape == (len(LENGTHS),)


@pytest.mark.parametrize("name", DISTILLING)
def test_only_the_tempered_objectives_see_the_temperature(name):
    student, teacher_values = chain(student_of()), targets(teacher_of())
    cold, hot = (load_loss(name)(student, teacher_values, temperature) for temperature in (1.0, 3.0))
    assert torch.equal(cold, hot) != OBJECTIVES[name].tempered


@pytest.mark.parametrize("name", [name for name in DISTILLING if OBJECTIVES[name].tempered])
def test_the_square_of_the_temperature_is_in_the_loss_once(name):
    """With T^2 once, the gradients of very hot targets neither vanish nor grow: they tend to a limit."""
    teacher_values = targets(teacher_of())
    norms = []
    for temperature in (64.0, 128.0):
        _, grads = value_and_gradients(
            lambda i, temperature=temperature: load_loss(name)(chain(i), teacher_values, temperature), student_of()
        )
        norms.append(torch.cat([g.flatten() for g in grads]).norm())
    assert norms[0] > 0.1
    assert norms[1] / norms[0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", DISTILLING)
def test_padding_never_matters(name):
    student, teacher_values = student_of(), targets(teacher_of())
    wide = random_inputs(LENGTHS, LABELS, seed=9, time=7, sd=30)  # its padding is noise
    emissions = wide.emissions.clone()
    emissions[:, -1] = torch.inf
    noisy = TeacherValues(**{f: wild(getattr(teacher_values, f)) for f in TeacherValues.__dataclass_fields__})
    for row, n in enumerate(LENGTHS):
        emissions[row, :n] = student.emissions[row, :n]
        for field in ("log_posterior", "unary", "emissions"):
            getattr(noisy, field)[row, :n] = getattr(teacher_values, field)[row, :n]
        noisy.paths[row, :, :n] = teacher_values.paths[row, :, :n]
    noisy.unary[~chain(replace(student, emissions=emissions)).mask] = 0  # the one promise of the counts
    padded = replace(student, emissions=emissions)
    ours = value_and_gradients(lambda inputs: load_loss(name)(chain(inputs), noisy, 2.0), padded)
    plain = value_and_gradients(lambda inputs: load_loss(name)(chain(inputs), teacher_values, 2.0), student)
    assert_close(ours[0], plain[0], rtol=1e-12, atol=1e-12)
    assert_close(ours[1][1:], plain[1][1:], rtol=1e-11, atol=1e-11)
    assert_close(ours[1][0][:, :4], plain[1][0], rtol=1e-11, atol=1e-11)
    assert not ours[1][0][:, 4:].any()


def wild(values: Tensor) -> Tensor:
    """Per-word values with three more time steps of nonsense; values of a sentence as they are."""
    if values.shape[1:] == (LABELS, LABELS) or values.dim() == 2:
        return values.clone()
    axis = 2 if values.dtype == torch.int64 else 1
    shape = list(values.shape)
    shape[axis] = 7
    return torch.full(shape, -100 if values.dtype == torch.int64 else torch.nan, dtype=values.dtype)


def test_structural_is_the_limit_of_top_wk():
    student, teacher = chain(student_of()), teacher_of()
    every = targets(teacher, k=LABELS ** max(LENGTHS))
    assert_close(load_loss("top_wk")(student, every, 1.0), load_loss("structural")(student, every, 1.0))


def test_a_student_equal_to_its_teacher_has_no_gradient():
    same, teacher_values = teacher_of(), targets(teacher_of(), k=81)
    for name in DISTILLING:
        # Flat weights, one path; marginals are not the softmax of a CRF's emissions.
        if name in ("top_k", "pseudo_labels", "token"):
            continue
        _, grads = value_and_gradients(lambda i, name=name: load_loss(name)(chain(i), teacher_values, 1.0), same)
        assert max(g.abs().max() for g in grads) < 1e-9, name


# ---- the mixed loss


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_mixed_loss_weighs_means_over_sentences(weight):
    student, teacher_values = chain(student_of()), targets(teacher_of())
    gold = torch.tensor([[0, 1, 2, 0], [2, -100, -100, -100], [1, 1, 0, -100], [0, 2, -100, -100]])
    parts = mixed_loss(student, gold, teacher_values, load_loss("posterior"), weight, 2.0)
    kd = posterior(student_of(), teacher_of(), 2.0).mean()
    nll = -Enumeration(student_of()).log_prob(gold.clamp_min(0)).mean()
    assert_close(parts["loss"], weight * kd + (1 - weight) * nll)
    assert_close(parts["teacher"], kd if weight else torch.zeros_like(kd))
    assert_close(parts["gold"], nll if weight < 1 else torch.zeros_like(nll))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_with_a_loss_per_word_all_words_of_a_batch_weigh_the_same(weight):
    student, teacher_values = chain(student_of()), targets(teacher_of())
    gold = torch.tensor([[0, 1, 2, 0], [2, -100, -100, -100], [1, 1, 0, -100], [0, 2, -100, -100]])
    parts = mixed_loss(student, gold, teacher_values, load_loss("posterior"), weight, 2.0, "word")
    kd = posterior(student_of(), teacher_of(), 2.0).sum() / sum(LENGTHS)
    nll = -Enumeration(student_of()).log_prob(gold.clamp_min(0)).sum() / sum(LENGTHS)
    assert_close(parts["loss"], weight * kd + (1 - weight) * nll, rtol=1e-10, atol=1e-10)
    assert_close(parts["teacher"], kd if weight else torch.zeros_like(kd))
    assert_close(parts["gold"], nll if weight < 1 else torch.zeros_like(nll))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_without_gold_the_teacher_has_all_the_weight_and_without_a_teacher_the_gold(weight):
    student, teacher_values = chain(student_of()), targets(teacher_of())
    gold = torch.zeros(4, 4, dtype=torch.int64)
    alone = mixed_loss(student, None, teacher_values, load_loss("top_wk"), weight)
    assert_close(alone["loss"], SLOW["top_wk"](student_of(), teacher_of(), 1.0).mean())
    nll = -Enumeration(student_of()).log_prob(gold).mean()
    assert_close(mixed_loss(student, gold, None, load_loss("top_wk"), weight)["loss"], nll)
    assert_close(mixed_loss(student, gold, teacher_values, None, weight)["loss"], nll)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("per", ["sentence", "word"])
def test_what_a_teacher_weighs_less_its_sentences_learn_from_gold(weight, per):
    gate = torch.tensor([1.0, 0.0, 0.25, 0.5], dtype=torch.float64)
    student, teacher_values = chain(student_of()), targets(teacher_of())
    gold = torch.tensor([[0, 1, 2, 0], [2, -100, -100, -100], [1, 1, 0, -100], [0, 2, -100, -100]])
    kd, nll = posterior(student_of(), teacher_of(), 2.0), -Enumeration(student_of()).log_prob(gold.clamp_min(0))
    divisor = len(LENGTHS) if per == "sentence" else sum(LENGTHS)
    parts = mixed_loss(student, gold, teacher_values, load_loss("posterior"), weight, 2.0, per, gate)
    expected = sum(weight * g * k + (1 - weight * g) * n for g, k, n in zip(gate, kd, nll, strict=True)) / divisor
    assert_close(parts["loss"], expected, rtol=1e-10, atol=1e-10)
    assert_close(parts["teacher"], kd.sum() / divisor if weight else torch.zeros_like(kd[0]), rtol=1e-10, atol=1e-10)
    assert_close(parts["gold"], nll.sum() / divisor if weight < 1 else torch.zeros_like(kd[0]))
    alone = mixed_loss(student, None, teacher_values, load_loss("posterior"), weight, 2.0, per, gate)
    assert_close(alone["loss"], (gate * kd).sum() / divisor, rtol=1e-10, atol=1e-10)
    terms = (student, gold, teacher_values, load_loss("posterior"), weight, 2.0, per)
    assert_close(mixed_loss(*terms, torch.ones_like(gate))["loss"], mixed_loss(*terms)["loss"])


# ---- targets from files


@pytest.mark.parametrize("sd", [1.5, 8.0])
@pytest.mark.parametrize("name", DISTILLING)
def test_targets_that_went_through_a_file_give_the_same_loss(name, sd, tmp_path: Path):
    """Posteriors are float16 (11 bits): per mille of a loss. Paths are bytes with float32 weights: 1e-6."""
    student, teacher = student_of(), random_inputs(LENGTHS, LABELS, seed=2, sd=sd)
    exact = load_loss(name)(chain(student), targets(teacher), 2.25)
    stored = load_loss(name)(chain(student), through_files(teacher, tmp_path), 2.25)
    assert_close(stored, exact, rtol=2e-3 if "posterior" in name or name == "token" else 1e-6, atol=1e-4)


def through_files(teacher: Inputs, folder: Path) -> TeacherValues:
    offsets = np.r_[0, np.cumsum(LENGTHS)]
    flat = torch.cat([teacher.emissions[row, :n] for row, n in enumerate(LENGTHS)]).float().numpy()
    ends = (v.float().numpy() for v in (teacher.transitions, teacher.start, teacher.end))
    scores = Scores(["a", "b", "c", "d"], offsets, flat, *ends, metadata={"labels": ["x", "y", "z"]})
    write_targets(folder / "t.parquet", targets_of(scores, K, {**scores.metadata, "k": K, "kind": "targets"}))
    read = read_targets(folder / "t.parquet")
    unary, pairs = expected_counts(scores)
    rows = np.arange(len(LENGTHS))

    def padded(values: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
        return gather(torch.from_numpy(values.copy()), offsets, rows, dtype)

    return TeacherValues(
        log_posterior=padded(read.log_posterior),
        paths=padded(read.paths, torch.int64).transpose(1, 2),
        path_log_prob=torch.from_numpy(read.path_log_prob.copy()),
        unary=padded(unary),
        pairs=torch.from_numpy(pairs),
        emissions=padded(flat),
        transitions=torch.from_numpy(scores.transitions).expand(len(LENGTHS), -1, -1),
    )


# ---- the table


def test_every_objective_that_has_teachers_has_a_loss_of_its_own_and_no_loss_is_left_over():
    modules = {f"{losses.__name__}.{file.stem}" for file in Path(losses.__file__).parent.glob("[!_]*.py")}
    assert sorted(modules) == sorted(OBJECTIVES[name].loss_module for name in DISTILLING)
    for name in OBJECTIVES.keys() - DISTILLING:
        with pytest.raises(ValueError, match="has no teachers"):
            load_loss(name)


def test_every_objective_is_checked_against_enumeration():
    assert sorted(SLOW) == sorted(DISTILLING)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_row_agrees_with_itself(name):
    row, reference = OBJECTIVES[name], OBJECTIVES[OBJECTIVES[name].reference]
    assert row.name == name
    assert bool(row.needs) == (row.teacher_decoder is not None)
    assert (reference.needs, reference.decoder) == ((), row.decoder)
    assert reference.name == name or row.needs


@pytest.mark.parametrize("name", DISTILLING)
def test_an_objective_reads_all_that_it_names_and_nothing_else(name):
    student, teacher_values = chain(student_of()), targets(teacher_of())
    named = {field: getattr(teacher_values, field) for field in (*OBJECTIVES[name].targets, *OBJECTIVES[name].scores)}
    assert torch.equal(
        load_loss(name)(student, TeacherValues(**named), 1.0), load_loss(name)(student, teacher_values, 1.0)
    )
    for field in named:
        with pytest.raises(ValueError, match="a field of TeacherValues that its objective does not name"):
            load_loss(name)(student, TeacherValues(**{**named, field: None}), 1.0)
