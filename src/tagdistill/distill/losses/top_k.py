"""Distillation from the teacher's k best label sequences."""

from __future__ import annotations

import torch

from tagdistill.crf import LinearChain
from tagdistill.distill.loss_terms import weighted_paths
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, _temperature: float) -> Losses:
    """Return the mean negative log-likelihood of the teacher's k best sequences (Wang et al. 2020, eq. 8)."""
    # A short sentence has fewer than k sequences: divide by those that exist.
    exists = torch.isfinite(required(teacher.path_log_prob)).to(student.emissions)
    return weighted_paths(student, teacher, exists / exists.sum(1, keepdim=True))
