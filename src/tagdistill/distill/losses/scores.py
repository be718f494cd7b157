"""Distillation from the teacher's emission and transition scores."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from tagdistill.crf import LinearChain
from tagdistill.distill.loss_terms import on_tokens
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, _temperature: float) -> Losses:
    """Return the squared difference of the two taggers' scores (Lin et al. 2022).

    A constant added to all emissions of a word, or to all transitions, changes no sequence's probability: both sides
    are centred first. Mean over labels and label pairs, sum over words.
    """
    emissions = required(teacher.emissions).to(student.emissions)
    transitions = required(teacher.transitions).to(student.transitions)
    difference = on_tokens(_centred(student.emissions, -1) - _centred(emissions, -1), student)
    words = difference.square().mean(-1)
    pairs = _centred(student.transitions, (-2, -1)) - _centred(transitions, (-2, -1))
    return words.sum(1) + (student.lengths - 1) * pairs.square().mean((-2, -1))


def _centred(values: Float[Tensor, "*shape"], dims: int | tuple[int, ...]) -> Float[Tensor, "*shape"]:
    return values - values.mean(dims, keepdim=True)
