"""Distillation from the teacher's marginals and its weighted k best label sequences."""

from __future__ import annotations

from tagdistill.crf import LinearChain
from tagdistill.distill.losses import posterior, top_wk
from tagdistill.distill.teacher_values import Losses, TeacherValues


def loss(student: LinearChain, teacher: TeacherValues, temperature: float) -> Losses:
    """Return the average of eq. 9 and eq. 13 of Wang et al. 2020 (the published code takes their sum)."""
    return (posterior.loss(student, teacher, temperature) + top_wk.loss(student, teacher, temperature)) / 2
