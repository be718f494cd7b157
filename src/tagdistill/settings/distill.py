"""What students learn from their teachers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from tagdistill.settings.base import Settings, Share, unrepeated
from tagdistill.settings.objectives import ObjectiveName


class Anneal(Settings):
    """Weight of the teacher on labelled text: linear over the updates, or the paper's tau."""

    start: Share = Field(1.0, alias="from", description="weight at the first update")
    end: Share = Field(0.0, alias="to", description="weight at the last update")
    tau: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="instead of from and to: weight 1, reduced by this many per cent per epoch (the paper's code)",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Anneal:
        if self.tau is not None and (self.start, self.end) != (1.0, 0.0):  # a job writes its defaults out
            raise ValueError("give `tau`, or `from` and `to`")
        return self


class Distill(Settings):
    """What the student learns from its teachers."""

    objectives: Annotated[tuple[ObjectiveName, ...], AfterValidator(unrepeated)] = Field(
        ("baseline", "posterior", "structural"), min_length=1, description="one student per objective and seed"
    )
    k: Annotated[int, Field(gt=0, le=255)] = Field(10, description="paths in the targets")
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.0, description="of token, emission and posterior targets"
    )
    anneal: Anneal = Field(
        default_factory=lambda: Anneal.model_validate({}), description="weight of the teacher over the updates"
    )
    unlabelled_ratio: Annotated[float, Field(ge=0)] = Field(1.0, description="unlabelled batches per labelled batch")
