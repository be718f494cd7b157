"""A learned mix of an encoder's hidden layers (Peters et al. 2018; Kondratyuk and Straka 2019).

The vector of a word is `scale * sum over layers of softmax(logits)[layer] * vector[layer]`. It starts as the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerMix(nn.Module):
    """Learned weights of hidden layers, whose vectors stand beside one another."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))

    def record(self, layers: Sequence[int]) -> dict[str, Any]:
        """Return what has been learned, rounded: the weight of each layer, by its number, and the scale."""
        weights = zip(layers, self.weights.tolist(), strict=True)
        return {
            "weights": {str(layer): round(weight, 4) for layer, weight in weights},
            "scale": round(self.scale.item(), 4),
        }

    @property
    def weights(self) -> Float[Tensor, " layer"]:
        """The weight of each layer; their sum is 1."""
        return self.logits.softmax(0)

    def forward(self, vectors: Float[Tensor, "*words all"], size: int) -> Float[Tensor, "*words dim"]:
        """Return mixed vectors of `size` numbers; those of word vectors, after the layers, are kept as they are."""
        layers = len(self.logits)
        hidden = (vectors.shape[-1] - size) // (layers - 1)
        beside = vectors[..., layers * hidden :]
        stacked = vectors[..., : layers * hidden].reshape(*vectors.shape[:-1], layers, hidden)
        mixed = self.scale * torch.einsum("l,...ld->...d", self.weights, stacked)
        return torch.cat([mixed, beside], -1) if beside.shape[-1] else mixed
