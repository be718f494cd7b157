"""Training on the teacher's best label sequence as if it were gold: a control that has no soft targets."""

from __future__ import annotations

from tagdistill.crf import LinearChain
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, _temperature: float) -> Losses:
    """Return the negative log-likelihood of the teacher's best sequence (Lee 2013, pseudo-label)."""
    return -student.log_prob(required(teacher.paths)[:, 0])
