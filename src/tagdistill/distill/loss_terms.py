"""What several distillation losses are made of."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from tagdistill.crf import LinearChain
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def local_cross_entropy(student: LinearChain, target: Float[Tensor, "batch time label"], temperature: float) -> Losses:
    """Return the sum over words of H(softmax(target / T), softmax(emissions / T)) times T^2."""
    weights = (on_tokens(target.to(student.emissions), student) / temperature).softmax(-1)
    log_prob = (on_tokens(student.emissions, student) / temperature).log_softmax(-1)
    return -(temperature**2) * (student.mask[..., None] * weights * log_prob).sum((1, 2))


def on_tokens(values: Float[Tensor, "batch time label"], student: LinearChain) -> Float[Tensor, "batch time label"]:
    """Return the values with 0 in padding, where anything may stand: 0 times NaN is NaN, in a gradient too."""
    return values.where(student.mask[..., None], 0.0)


def weighted_paths(student: LinearChain, teacher: TeacherValues, weights: Float[Tensor, "batch k"]) -> Losses:
    """Return the weighted negative log-likelihood of the teacher's paths, with one log Z per sentence."""
    return -(weights.to(student.emissions) * student.log_prob_of_paths(required(teacher.paths))).sum(1)
