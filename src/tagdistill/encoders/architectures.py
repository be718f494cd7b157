"""The architectures that can be written as ONNX graphs: BERT, and what has the same layers."""

from __future__ import annotations

from typing import Any, NamedTuple

from tagdistill.errors import ConfigError

# By their names in transformers: the operator of a graph, and its attributes.
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


class Names(NamedTuple):
    """The names of a layer's parts in transformers."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    outer_norm: str = "output.LayerNorm"
    layers: str = "encoder.layer"


class Architecture(NamedTuple):
    """How an architecture differs from BERT."""

    names: Names = Names()
    positions_after_pad: bool = False  # the first piece is at position pad + 1


DISTILBERT = Names(
    *("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm"),
    *("ffn.lin1", "ffn.lin2", "output_layer_norm", "transformer.layer"),
)
ROBERTA = Architecture(positions_after_pad=True)
ARCHITECTURES = {
    "bert": Architecture(),
    "camembert": ROBERTA,
    "distilbert": Architecture(DISTILBERT),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}


def architecture_of(kind: str, activation: str, where: str = "export.formats") -> Architecture:
    """Return an architecture by its names in transformers. Raises ConfigError for one that has no graph here."""
    if kind in ARCHITECTURES and activation in ACTIVATIONS:
        return ARCHITECTURES[kind]
    what = f"a {kind!r} encoder with the activation {activation!r} cannot be exported as an ONNX graph"
    known = f"architectures {', '.join(ARCHITECTURES)}, activations {', '.join(ACTIVATIONS)}"
    raise ConfigError(what, where=where, hint=f"Use `formats: [torch]`. Known: {known}.")
