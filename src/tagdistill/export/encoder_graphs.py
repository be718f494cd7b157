"""The encoders that can be written as ONNX graphs: BERT and what has the same layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagdistill.encoders.architectures import ACTIVATIONS, Architecture, architecture_of
from tagdistill.export.graph import array_of

if TYPE_CHECKING:
    from torch import Tensor

    from tagdistill.encoders.load import Encoder
    from tagdistill.export.graph import Graph

MASKED = -1e30  # added to the scores of padding: its weight is exactly 0


def add_encoder(graph: Graph, encoder: Encoder, taps: tuple[int, ...], *, mixed: bool = False) -> str:
    """Add the layers of an encoder up to the highest of `taps`, and return the average of their states.

    `mixed`: return their states beside one another, in the order of `taps`.
    """
    added = _Layers(graph, encoder)
    states = [added.embeddings()]
    for layer in range(max(taps)):
        states.append(added.layer(states[-1], layer))
    kept = [states[tap] for tap in taps]
    if len(kept) == 1:
        return kept[0]
    return str(graph.op("Concat", *kept, axis=-1) if mixed else graph.op("Mean", *kept))


class _Layers:
    def __init__(self, graph: Graph, encoder: Encoder) -> None:
        self.graph, self.config = graph, encoder.model.config
        self.activation: str = getattr(self.config, "hidden_act", None) or self.config.activation
        self.architecture: Architecture = architecture_of(encoder.kind, self.activation)
        self.weights: dict[str, Tensor] = dict(encoder.model.state_dict())
        self.size, self.heads = encoder.hidden_size, int(self.config.num_attention_heads)
        allowed = graph.op("Unsqueeze", "mask", graph.constant([1, 2], np.int64))
        self.masked = graph.op("Where", allowed, graph.constant([0.0]), graph.constant([MASKED]))

    def embeddings(self) -> str:
        """Add hidden layer 0."""
        words = self.constant("embeddings.word_embeddings.weight")
        states = self.graph.op("Add", self.graph.op("Gather", words, "ids"), self._positions())
        if "embeddings.token_type_embeddings.weight" in self.weights:
            kind = array_of(self.weights["embeddings.token_type_embeddings.weight"])[0]
            states = self.graph.op("Add", states, self.graph.constant(kind, name="embeddings.token_type"))
        return self.norm(states, "embeddings.LayerNorm")

    def _positions(self) -> str:
        """Return the embeddings of the positions (piece, hidden); windows are padded at their ends only."""
        graph, first = self.graph, int(self.config.pad_token_id) + 1 if self.architecture.positions_after_pad else 0
        name = "embeddings.position_embeddings.weight"
        table = graph.constant(array_of(self.weights[name])[first:], name=name)
        axis = graph.constant([0], np.int64)
        return str(graph.op("Slice", table, axis, graph.shape_of("ids", 1), axis))

    def layer(self, states: str, number: int) -> str:
        """Add one layer; norms come after the sums."""
        names, graph = self.architecture.names, self.graph
        place = f"{names.layers}.{number}"
        mixed = self.linear(self._attention(states, place), f"{place}.{names.attention}")
        states = self.norm(graph.op("Add", mixed, states), f"{place}.{names.attention_norm}")
        kind, options = ACTIVATIONS[self.activation]
        inner = graph.op(kind, self.linear(states, f"{place}.{names.inner}"), **options)
        outer = self.linear(inner, f"{place}.{names.outer}")
        return self.norm(graph.op("Add", outer, states), f"{place}.{names.outer_norm}")

    def _attention(self, states: str, place: str) -> str:
        names, graph, size = self.architecture.names, self.graph, self.size // self.heads
        query, key, value = (self.linear(states, f"{place}.{name}") for name in names[:3])
        query, value = (self._by_head(each, size, [0, 2, 1, 3]) for each in (query, value))
        key = self._by_head(key, size, [0, 2, 3, 1])
        scores = graph.op("Mul", graph.op("MatMul", query, key), graph.constant([size**-0.5]))
        weights = graph.op("Softmax", graph.op("Add", scores, self.masked), axis=-1)
        mixed = graph.op("Transpose", graph.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        return graph.reshape(mixed, 0, 0, self.size)

    def _by_head(self, values: str, size: int, order: list[int]) -> str:
        return str(self.graph.op("Transpose", self.graph.reshape(values, 0, 0, self.heads, size), perm=order))

    def linear(self, states: str, name: str) -> str:
        """Add a linear layer by its name in transformers."""
        return self.graph.linear(states, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], name)

    def norm(self, states: str, name: str) -> str:
        """Add a layer norm by its name in transformers."""
        scale, bias = self.constant(f"{name}.weight"), self.constant(f"{name}.bias")
        epsilon = float(getattr(self.config, "layer_norm_eps", 1e-12))  # DistilBERT's is fixed
        return str(self.graph.op("LayerNormalization", states, scale, bias, axis=-1, epsilon=epsilon))

    def constant(self, name: str) -> str:
        """Add a weight by its name in transformers."""
        return self.graph.constant(array_of(self.weights[name]), name=name)
