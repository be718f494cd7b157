"""The loss of one update: the teachers' and the gold labels' parts, mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from tagdistill.crf import LinearChain
    from tagdistill.distill.losses import Loss
    from tagdistill.distill.teacher_values import Losses, TeacherValues
    from tagdistill.settings.base import LossPer


class LossParts(TypedDict):
    """The loss of a batch and its two parts before weighting, each a scalar: a mean over sentences or words."""

    loss: Tensor
    teacher: Tensor
    gold: Tensor


def mixed_loss(
    student: LinearChain,
    gold: Tensor | None,
    teacher: TeacherValues | None,
    loss: Loss | None,
    weight: float,
    temperature: float = 1.0,
    loss_per: LossPer = "sentence",
    gate: Float[Tensor, " batch"] | None = None,
) -> LossParts:
    """Return the loss of a batch, lambda * L_KD + (1 - lambda) * L_NLL (Wang et al. 2020, section 3), and its parts.

    `gold`: labels (batch, time). `loss`: the objective's. `weight`: the teacher's (lambda); it is 1 without gold
    labels, 0 without a teacher. `loss_per`: "sentence" for the mean over sentences of their sums over words, as in the
    published code, "word" for the sum over all words divided by their number. `gate`: what the teacher of each sentence
    weighs besides, 0 to 1; where it is below 1 the gold labels gain what the teacher loses, if there are any.
    """
    if loss is None or teacher is None:
        weight = 0.0
    elif gold is None:
        weight = 1.0
    zero = student.emissions.new_zeros(())
    distilled = supervised = taught = learned = zero
    if loss is not None and teacher is not None and weight > 0:
        losses = loss(student, teacher, temperature)
        distilled = _mean(losses, student, loss_per)
        taught = weight * (distilled if gate is None else _mean(gate * losses, student, loss_per))
    if gold is not None and (weight < 1 or gate is not None):
        losses = -student.log_prob(gold)
        supervised = _mean(losses, student, loss_per)
        rest = 1 - weight
        learned = rest * supervised if gate is None else _mean((1 - weight * gate) * losses, student, loss_per)
    return {"loss": taught + learned, "teacher": distilled, "gold": supervised if weight < 1 else zero}


def _mean(losses: Losses, student: LinearChain, loss_per: LossPer) -> Tensor:
    return losses.mean() if loss_per == "sentence" else losses.sum() / student.lengths.sum()
