"""What the losses read of a student's teachers."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

Losses = Float[Tensor, " batch"]


@dataclass(frozen=True)
class TeacherValues:
    """Values of the teachers for one batch; only those that its objective reads are there.

    Values past a sentence's end are padding, which no loss may read. `unary` is 0 there.
    """

    log_posterior: Float[Tensor, "batch time label"] | None = None
    paths: Int[Tensor, "batch k time"] | None = None
    path_log_prob: Float[Tensor, "batch k"] | None = None  # -inf where a sentence has fewer than k sequences
    unary: Float[Tensor, "batch time label"] | None = None  # expected label counts
    pairs: Float[Tensor, "batch label label"] | None = None  # expected transition counts, [from, to]
    emissions: Float[Tensor, "batch time label"] | None = None  # raw scores
    transitions: Float[Tensor, "batch label label"] | None = None  # raw scores of each sentence's own teacher


def required(values: Tensor | None) -> Tensor:
    """Return values that a loss cannot do without.

    Raises ValueError where they are missing: the row of the objective (`settings.objectives`) does not name them.
    """
    if values is None:
        raise ValueError("the loss reads a field of TeacherValues that its objective does not name")
    return values
