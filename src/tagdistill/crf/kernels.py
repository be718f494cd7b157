"""Which kernel runs a chain. A further kernel is one more subclass of `ForwardBackward` and one more line here."""

from __future__ import annotations

import torch
from torch import Tensor

from tagdistill.crf import fused, scaled, wide
from tagdistill.crf.forward_backward import ForwardBackward
from tagdistill.crf.potentials import Potentials


@torch.no_grad()
def forward_backward(potentials: Potentials) -> ForwardBackward:
    """Run the fastest kernel that is exact for these potentials."""
    potentials = potentials.detach()
    if fused.serves(potentials.scores):
        return fused.Fused(potentials)
    every = scaled.rescale_interval(potentials)
    return scaled.Scaled(potentials, every) if every else wide.Wide(potentials)


@torch.no_grad()
def log_partition(potentials: Potentials) -> Tensor:
    """Return log Z (batch,) alone: half the steps of a full pass."""
    potentials = potentials.detach()
    if fused.serves(potentials.scores):
        return fused.log_partition(potentials)
    every = scaled.rescale_interval(potentials)
    return scaled.log_partition(potentials, every) if every else wide.log_partition(potentials)
