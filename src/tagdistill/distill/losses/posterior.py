"""Distillation from the teacher's marginal label probabilities."""

from __future__ import annotations

from tagdistill.crf import LinearChain
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, temperature: float) -> Losses:
    """Return the cross-entropy of two CRFs' marginals, summed over words (Wang et al. 2020, eq. 13).

    The temperature is applied to the marginals, as in the published code.
    """
    return student.posterior_cross_entropy(required(teacher.log_posterior), temperature)
