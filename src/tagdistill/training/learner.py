"""What one update differentiates: a model and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from torch import nn

from tagdistill.distill.dataset import GATE
from tagdistill.distill.teacher_values import TeacherValues
from tagdistill.training.loss import mixed_loss

if TYPE_CHECKING:
    from tagdistill.distill.losses import Loss
    from tagdistill.models.model import Model
    from tagdistill.settings.base import LossPer
    from tagdistill.training.loss import LossParts
    from tagdistill.training.updates import UpdateBatch


class Learner(nn.Module):
    """A model and its loss."""

    def __init__(self, model: Model, loss: Loss | None, temperature: float, loss_per: LossPer) -> None:
        super().__init__()
        self.model, self.loss, self.temperature, self.loss_per = model, loss, temperature, loss_per

    def forward(self, **batch: Unpack[UpdateBatch]) -> LossParts:
        """Return the loss of a batch."""
        chain = self.model(batch)
        values = dict(batch["teacher"])
        gate = values.pop(GATE, None)
        teacher = TeacherValues(**values) if self.loss is not None else None
        weight, how = batch["teacher_weight"], (self.temperature, self.loss_per, gate)
        return mixed_loss(chain, batch.get("labels"), teacher, self.loss, weight, *how)
