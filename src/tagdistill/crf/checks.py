"""What is asked of the inputs of a chain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tagdistill.crf.errors import NonFiniteScores
from tagdistill.crf.potentials import Potentials


def check_shapes(
    emissions: Tensor, transitions: Tensor, lengths: Tensor, start: Tensor | None, end: Tensor | None
) -> None:
    """Raise ValueError where shapes do not fit each other or a dtype is of the wrong kind."""
    if emissions.dim() != 3 or 0 in emissions.shape:
        raise ValueError(f"emissions: expected a non-empty (batch, time, label), found {tuple(emissions.shape)}")
    batch, _, labels = emissions.shape
    expected = (
        ("emissions", emissions, emissions.shape),
        ("transitions", transitions, (labels, labels)),
        ("start", start, (labels,)),
        ("end", end, (labels,)),
        ("lengths", lengths, (batch,)),
    )
    for name, value, shape in expected:
        if value is None:
            continue
        if value.shape != shape:
            raise ValueError(f"{name}: expected {shape} to fit emissions, found {tuple(value.shape)}")
        if value is not lengths and not value.is_floating_point():
            raise ValueError(f"{name}: expected floating point, found {value.dtype}")
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths: expected integers, found {lengths.dtype}")


def check_lengths(lengths: Tensor, time: int) -> tuple[int, int]:
    """Return the shortest and the longest length; raise ValueError for a length outside 1 to `time`."""
    values = lengths.tolist()  # from a GPU in one transfer
    low, high = min(values), max(values)
    if low < 1 or high > time:
        raise ValueError(f"lengths: expected 1 to {time} (the time steps of emissions), found {low} to {high}")
    return low, high


def check_finite(potentials: Potentials) -> None:
    """Raise NonFiniteScores where the spread of scores or transitions, once measured, is not finite."""
    spreads = {"emissions, start and end": potentials.spread, "transitions": potentials.edge_spread}
    for name, value in spreads.items():
        if value is not None and not math.isfinite(value):
            raise NonFiniteScores(f"{name}: expected finite scores; write -1e4 for what is forbidden, not -inf")
