"""The distillation objectives, one line each on top of the chain (Wang et al. 2020, section 3).

Each maps a student's chain and its teachers' targets to one loss a sentence: summed over words, never a mean, so that
it stands beside the gold loss as the paper's equations do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tagdistill.crf import LinearChain, PathCounts
from tagdistill.distill.teacher_values import Losses, Teacher


def token(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Eq. 4: cross-entropy of two locally normalised taggers, word by word."""
    return local_cross_entropy(student, teacher.log_posterior, temperature)


def emission(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Eq. 5: the same on the emission scores of two CRFs, blind to their transitions."""
    return local_cross_entropy(student, teacher.emissions, temperature)


def top_k(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Eq. 8: negative log-likelihood of the teacher's k best sequences, all of equal weight."""
    # A short sentence has fewer than k sequences: divide by those that exist.
    exists = torch.isfinite(teacher.path_log_prob).to(student.emissions)
    return weighted_paths(student, teacher, exists / exists.sum(1, keepdim=True))


def top_wk(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Eq. 9: the same, weighted by the teacher's probabilities renormalised over its k best."""
    return weighted_paths(student, teacher, teacher.path_log_prob.double().softmax(1))


def posterior(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Eq. 13: cross-entropy of the two CRFs' marginals; temperature on the marginals, as in the published code."""
    return student.posterior_cross_entropy(teacher.log_posterior, temperature)


def posterior_top_wk(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """The average of eq. 9 and eq. 13 (the published code takes their sum)."""
    return (posterior(student, teacher, temperature) + top_wk(student, teacher, temperature)) / 2


def structural(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Eq. 6 exactly: H(teacher, student) over all sequences, from expected counts alone (Wang et al. 2021, case 1a)."""
    return -student.expected_log_prob(PathCounts(teacher.unary, teacher.pairs))


def scores(student: LinearChain, teacher: Teacher, temperature: float) -> Losses:
    """Squared difference of the scores themselves (Lin et al. 2022), after taking away what no probability sees.

    A constant added to all emissions of a word, or to all transitions, changes no sequence's probability: both sides
    are centred first. Mean over labels and label pairs, sum over words.
    """
    difference = centred(student.emissions, -1) - centred(teacher.emissions.to(student.emissions), -1)
    words = student.mask * difference.square().mean(-1)
    pairs = centred(student.transitions, (-2, -1)) - centred(teacher.transitions.to(student.transitions), (-2, -1))
    return words.sum(1) + (student.lengths - 1) * pairs.square().mean((-2, -1))


def local_cross_entropy(student: LinearChain, target: Tensor, temperature: float) -> Losses:
    """Return the sum over words of H(softmax(target / T), softmax(emissions / T)) times T^2."""
    weights = (target.to(student.emissions) / temperature).softmax(-1)
    log_prob = (student.emissions / temperature).log_softmax(-1)
    return -(temperature**2) * (student.mask[..., None] * weights * log_prob).sum((1, 2))


def weighted_paths(student: LinearChain, teacher: Teacher, weights: Float[Tensor, "batch k"]) -> Losses:
    """Return the weighted negative log-likelihood of the teacher's paths, with one log Z a sentence."""
    return -(weights.to(student.emissions) * student.log_prob_of_paths(teacher.paths)).sum(1)


def centred(values: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    return values - values.mean(dims, keepdim=True)


@dataclass(frozen=True)
class Objective:
    """A loss, the files its targets come from and the fields of `Teacher` it reads."""

    loss: Callable[[LinearChain, Teacher, float], Losses]
    targets: tuple[str, ...] = ()  # from targets.parquet
    scores: tuple[str, ...] = ()  # from scores.parquet
    tempered: bool = False
    teacher: str = "crf"  # decoder of the teachers


_PATHS = ("paths", "path_log_prob")
OBJECTIVES: dict[str, Objective | None] = {
    "baseline": None,
    "softmax": None,
    "token": Objective(token, targets=("log_posterior",), tempered=True, teacher="softmax"),
    "emission": Objective(emission, scores=("emissions",), tempered=True),
    "top_k": Objective(top_k, targets=_PATHS),
    "top_wk": Objective(top_wk, targets=_PATHS),
    "posterior": Objective(posterior, targets=("log_posterior",), tempered=True),
    "posterior+top_wk": Objective(posterior_top_wk, targets=("log_posterior", *_PATHS), tempered=True),
    "structural": Objective(structural, scores=("unary", "pairs")),
    "scores": Objective(scores, scores=("emissions", "transitions")),
}
