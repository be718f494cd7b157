"""Whole taggers as ONNX graphs, from word pieces to emissions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from onnx import TensorProto

from tagdistill.export.encoder_graphs import add_encoder
from tagdistill.export.graph import Graph, array_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tagdistill.encoders.load import Encoder
    from tagdistill.models.layer_mix import LayerMix
    from tagdistill.models.tagger import Tagger


def tagger_graph(encoder: Encoder, taps: tuple[int, ...], tagger: Tagger, *, halves: bool) -> Graph:
    """Return the graph of an encoder whose hidden layers `taps` are averaged or mixed, and of the tagger on top of it.

    `halves`: word vectors are rounded to float16, as those of a frozen encoder are stored. Raises ConfigError for an
    encoder of another architecture than `encoder_graphs.ARCHITECTURES`.
    """
    graph = Graph()
    states = add_encoder(graph, encoder, taps, mixed=tagger.mix is not None)
    vectors = _word_vectors(graph, states, encoder.hidden_size * max(1, len(tagger.spec.mix)))
    if halves:
        vectors = graph.op("Cast", graph.op("Cast", vectors, to=TensorProto.FLOAT16), to=TensorProto.FLOAT)
    graph.end(_emissions(graph, vectors, tagger))
    return graph


def _word_vectors(graph: Graph, states: str, size: int) -> str:
    """Return the average of each word's pieces (sentence, word, hidden); 0 past a sentence's end."""
    pieces = graph.op("Gather", graph.reshape(states, -1, size), "places")
    cells = graph.op("Size", "counts")
    shape = graph.op("Concat", graph.reshape(cells, 1), graph.constant([size], np.int64), axis=0)
    zeros = graph.op("Expand", graph.constant([[0.0]]), shape)
    index = graph.op("Unsqueeze", "cells", graph.constant([1], np.int64))
    sums = graph.op("ScatterND", zeros, index, pieces, reduction="add")
    both = graph.op("Concat", graph.op("Shape", "counts"), graph.constant([size], np.int64), axis=0)
    counts = graph.op("Cast", graph.op("Unsqueeze", "counts", graph.constant([2], np.int64)), to=TensorProto.FLOAT)
    return str(graph.op("Div", graph.op("Reshape", sums, both), counts))


def _mixed(graph: Graph, vectors: str, mix: LayerMix) -> str:
    """Return the mix (sentence, word, hidden) of the vectors of layers that stand beside one another."""
    weights = array_of(mix.scale * mix.weights)[:, None]
    stacked = graph.reshape(vectors, 0, 0, len(weights), -1)
    weighed = graph.op("Mul", stacked, graph.constant(weights, name="tagger.mix"))
    return str(graph.op("ReduceSum", weighed, graph.constant([2], np.int64), keepdims=0))


def _emissions(graph: Graph, vectors: str, tagger: Tagger) -> str:
    if tagger.mix is not None:
        vectors = _mixed(graph, vectors, tagger.mix)
    centred = graph.op("Sub", vectors, graph.constant(array_of(tagger.mean), name="tagger.mean"))
    states = graph.op("Div", centred, graph.constant(array_of(tagger.std), name="tagger.std"))
    if tagger.bilstm is not None:
        states = _bilstm(graph, states, tagger.bilstm.right, tagger.bilstm.left)
    if tagger.mlp is not None:
        inner = cast("nn.Linear", tagger.mlp[0])
        states = graph.op("Relu", graph.linear(states, inner.weight, inner.bias, "tagger.mlp"))
    return graph.linear(states, tagger.emission.weight, tagger.emission.bias, "tagger.emission")


def _bilstm(graph: Graph, vectors: str, right: nn.LSTM, left: nn.LSTM) -> str:
    """Return the states of both directions; ONNX reverses each sentence up to its own length."""

    def both(name: str, *parts: str) -> str:
        found = [np.concatenate([_gates(getattr(lstm, part)) for part in parts]) for lstm in (right, left)]
        return graph.constant(np.stack(found), name=f"tagger.bilstm.{name}")

    weights = both("weight", "weight_ih_l0"), both("recurrent", "weight_hh_l0")
    bias = both("bias", "bias_ih_l0", "bias_hh_l0")
    lengths = graph.op("Cast", "lengths", to=TensorProto.INT32)
    by_time = graph.op("Transpose", vectors, perm=[1, 0, 2])
    size = right.hidden_size
    states = graph.op("LSTM", by_time, *weights, bias, lengths, hidden_size=size, direction="bidirectional")
    # (time, direction, batch, hidden)
    return graph.reshape(graph.op("Transpose", states, perm=[2, 0, 1, 3]), 0, 0, 2 * size)


def _gates(weights: Tensor) -> Any:
    """Return the gates in ONNX's order: input, output, forget, cell. PyTorch's is input, forget, cell, output."""
    entry, forget, cell, output = np.split(array_of(weights), 4)
    return np.concatenate([entry, output, forget, cell])
