"""The loss of one update: the teacher's and the gold labels' parts, mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from tagdistill.crf import LinearChain
    from tagdistill.distill.losses import Loss
    from tagdistill.distill.teacher_values import TeacherValues


def mixed_loss(
    student: LinearChain,
    gold: Tensor | None,
    teacher: TeacherValues | None,
    loss: Loss | None,
    weight: float,
    temperature: float = 1.0,
) -> dict[str, Tensor]:
    """Return the loss of a batch, lambda * L_KD + (1 - lambda) * L_NLL, mean over sentences, and its parts.

    `weight` is the teacher's (lambda); without gold labels it is 1, without a teacher 0.
    """
    if loss is None or teacher is None:
        weight = 0.0
    elif gold is None:
        weight = 1.0
    distilled = supervised = student.emissions.new_zeros(())
    if loss is not None and teacher is not None and weight > 0:
        distilled = loss(student, teacher, temperature).mean()
    if gold is not None and weight < 1:
        supervised = -student.log_prob(gold).mean()
    return {"loss": weight * distilled + (1 - weight) * supervised, "teacher": distilled, "gold": supervised}
