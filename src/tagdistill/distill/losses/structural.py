"""Distillation from the teacher's whole distribution over label sequences."""

from __future__ import annotations

from tagdistill.crf import LinearChain, PathCounts
from tagdistill.distill.teacher_values import Losses, TeacherValues, required


def loss(student: LinearChain, teacher: TeacherValues, _temperature: float) -> Losses:
    """Return the cross-entropy H(teacher, student) over all sequences: eq. 6 of Wang et al. 2020, exactly.

    Expected counts of labels and transitions are all that it needs of the teacher (Wang et al. 2021, case 1a).
    """
    return -student.expected_log_prob(PathCounts(required(teacher.unary), required(teacher.pairs)))
