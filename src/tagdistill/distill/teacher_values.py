"""What teachers say of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

Losses = Float[Tensor, " batch"]


@dataclass(frozen=True)
class Teacher:
    """What the teachers say of a batch; an objective reads only what it needs.

    log_posterior (batch, time, label); paths (batch, k, time) and path_log_prob (batch, k), -inf for no path;
    unary (batch, time, label) and pairs (batch, label, label): expected counts; emissions (batch, time, label) and
    transitions (batch, label, label): raw scores of each sentence's own teacher.
    """

    log_posterior: Tensor = None  # type: ignore[assignment]
    paths: Tensor = None  # type: ignore[assignment]
    path_log_prob: Tensor = None  # type: ignore[assignment]
    unary: Tensor = None  # type: ignore[assignment]
    pairs: Tensor = None  # type: ignore[assignment]
    emissions: Tensor = None  # type: ignore[assignment]
    transitions: Tensor = None  # type: ignore[assignment]
