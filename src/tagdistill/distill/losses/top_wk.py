"""Distillation from the teacher's k best label sequences, weighted by their probabilities."""

from __future__ import annotations

from tagdistill.crf import LinearChain
from tagdistill.distill.loss_terms import weighted_paths
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, _temperature: float) -> Losses:
    """Return the negative log-likelihood of the teacher's k best sequences (Wang et al. 2020, eq. 9).

    Their weights are the teacher's probabilities, renormalised over the k best.
    """
    return weighted_paths(student, teacher, required(teacher.path_log_prob).double().softmax(1))
