"""Token-level distillation of CRFs that ignores their transitions."""

from __future__ import annotations

from tagdistill.crf import LinearChain
from tagdistill.distill.loss_terms import local_cross_entropy
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, temperature: float) -> Losses:
    """Return the cross-entropy of two CRFs' emission scores, summed over words (Wang et al. 2020, eq. 5)."""
    return local_cross_entropy(student, required(teacher.emissions), temperature)
