"""Which kernel runs a chain. A further kernel is one more subclass of `ForwardBackward` and one more line here.

All of them run on detached tensors: nothing they do is recorded.
"""

from __future__ import annotations

from torch import Tensor

from tagdistill.crf import paths
from tagdistill.crf.kernels import k_best as deviations
from tagdistill.crf.kernels import log_space as wide
from tagdistill.crf.kernels import scaled, viterbi
from tagdistill.crf.kernels.base import ForwardBackward
from tagdistill.crf.kernels.cpp import kernel as compiled
from tagdistill.crf.kernels.triton import kernel as fused
from tagdistill.crf.potentials import Potentials


def forward_backward(potentials: Potentials) -> ForwardBackward:
    """Run the fastest kernel that is exact for these potentials."""
    potentials = potentials.detach()
    if fused.serves(potentials.scores):
        return fused.Fused(potentials)
    if potentials.compiled:
        return compiled.Compiled(potentials)
    every = scaled.rescale_interval(potentials)
    return scaled.Scaled(potentials, every) if every else wide.Wide(potentials)


def log_partition(potentials: Potentials) -> Tensor:
    """Return log Z (batch,) alone: half the steps of a full pass."""
    potentials = potentials.detach()
    if fused.serves(potentials.scores):
        return fused.log_partition(potentials)
    if potentials.compiled:
        return compiled.log_partition(potentials)
    every = scaled.rescale_interval(potentials)
    return scaled.log_partition(potentials, every) if every else wide.log_partition(potentials)


def argmax(potentials: Potentials) -> Tensor:
    """Return the best labels (batch, time), 0 in padding."""
    potentials = potentials.detach()
    if fused.serves(potentials.scores):
        return fused.argmax(potentials)
    return compiled.argmax(potentials) if potentials.compiled else viterbi.argmax(potentials)


def k_best(potentials: Potentials, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best paths (batch, k, time) and their unnormalised scores (batch, k), -inf in an empty slot."""
    potentials = potentials.detach()
    if fused.serves(potentials.scores):
        return fused.k_best(potentials, k)
    if potentials.compiled:
        return compiled.k_best(potentials, k)
    found = deviations.k_best(potentials, k)
    return found.labels, found.score


def paths_of(potentials: Potentials, labels: Tensor) -> paths.Paths:
    """Return label paths (batch, k, time); raise ValueError for a label outside the chain's."""
    if potentials.compiled:
        return compiled.Paths(potentials, labels)
    return paths.prepare(labels, potentials.layout, len(potentials.transitions))
