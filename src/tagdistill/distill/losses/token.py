"""Token-level distillation of locally normalised taggers."""

from __future__ import annotations

from tagdistill.crf import LinearChain
from tagdistill.distill.loss_terms import local_cross_entropy
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, temperature: float) -> Losses:
    """Return the cross-entropy of two locally normalised taggers, summed over words (Wang et al. 2020, eq. 4)."""
    return local_cross_entropy(student, required(teacher.log_posterior), temperature)
