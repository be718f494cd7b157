"""BERT and RoBERTa encoders in plain torch: what transformers computes, to the bit, without its imports.

transformers takes longer to import its class of such an encoder than torch takes to start. Parts have the names that
they have there, and so have the weights in a file. Encoders with anything else about them are transformers' own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, scaled_dot_product_attention

from tagdistill.artifacts.files import read_json
from tagdistill.artifacts.stored_file import stored
from tagdistill.errors import MismatchError

if TYPE_CHECKING:
    from pathlib import Path

AFTER_PADDING = frozenset({"camembert", "roberta", "xlm-roberta"})  # their first position is the padding's id + 1
KINDS = AFTER_PADDING | {"bert"}
# What a config.json may say of an architecture that is not this one.
ONLY = {"hidden_act": ("gelu",), "position_embedding_type": (None, "absolute"), "is_decoder": (None, False)}


@dataclass(frozen=True)
class BertConfig:
    """The shape of an encoder, with the names of config.json."""

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    type_vocab_size: int
    pad_token_id: int
    layer_norm_eps: float
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    hidden_act: str

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the shape of the encoder in a folder; None where it is another architecture, or not all is said."""
        record = read_json(folder / "config.json")
        if not isinstance(record, dict) or record.get("model_type") not in KINDS:
            return None
        if any(record.get(key) not in allowed for key, allowed in ONLY.items()):
            return None
        values = {field.name: record[field.name] for field in fields(cls) if field.name in record}
        numbers = [value for name, value in values.items() if name not in ("model_type", "hidden_act")]
        if len(values) < len(fields(cls)) or not all(isinstance(value, int | float) for value in numbers):
            return None
        return cls(**values)


class Table(nn.Module):
    """A vector for each id; that of padding, if it has one, is never trained."""

    def __init__(self, ids: int, size: int, pad: int | None = None) -> None:
        super().__init__()
        self.weight, self.pad = nn.Parameter(torch.empty(ids, size)), pad

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (batch, piece, hidden) of ids (batch, piece)."""
        return embedding(ids, self.weight, self.pad)


class Embeddings(nn.Module):
    """Hidden layer 0."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size, pad = config.hidden_size, config.pad_token_id
        self.pad, self.after_padding = pad, config.model_type in AFTER_PADDING
        self.word_embeddings = Table(config.vocab_size, size, pad)
        self.position_embeddings = Table(config.max_position_embeddings, size, pad if self.after_padding else None)
        self.token_type_embeddings = Table(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return the states (batch, piece, hidden) of ids (batch, piece)."""
        states = self.word_embeddings(input_ids) + self.token_type_embeddings(torch.zeros_like(input_ids))
        states = states + self.position_embeddings(self._positions(input_ids))
        normed: Tensor = self.dropout(self.LayerNorm(states))
        return normed

    def _positions(self, ids: Tensor) -> Tensor:
        if not self.after_padding:
            return torch.arange(ids.shape[1], device=ids.device)[None]
        inside = ids.ne(self.pad).int()
        return (torch.cumsum(inside, dim=1).type_as(inside) * inside).long() + self.pad


class SelfAttention(nn.Module):
    """Attention of every piece of a window to all of them."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads, self.p = config.num_attention_heads, config.attention_probs_dropout_prob
        self.query, self.key, self.value = (nn.Linear(config.hidden_size, config.hidden_size) for _ in range(3))

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """Return the states that the pieces attend to, weighed, (batch, piece, hidden)."""
        query, key, value = (
            part(states).view(*states.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        p = self.p if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, mask, p, scale=query.shape[-1] ** -0.5)
        return mixed.transpose(1, 2).flatten(2)


class Added(nn.Module):
    """A linear layer whose result is added to what went into the block, and normed."""

    def __init__(self, inputs: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, before: Tensor) -> Tensor:
        """Return states (batch, piece, hidden)."""
        normed: Tensor = self.LayerNorm(self.dropout(self.dense(states)) + before)
        return normed


class Block(nn.Module):
    """One layer: hidden layer k to hidden layer k + 1."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(config), "output": Added(config.hidden_size, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.intermediate_size)})
        self.output = Added(config.intermediate_size, config)

    def forward(self, states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return the next states (batch, piece, hidden); for the mask see `attention_mask`."""
        states = self.attention["output"](self.attention["self"](states, attention_mask), states)
        after: Tensor = self.output(gelu(self.intermediate["dense"](states)), states)
        return after


class Bert(nn.Module):
    """Embeddings and blocks; `load` reads the weights."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": blocks})

    def get_input_embeddings(self) -> nn.Module:
        """Return the embeddings of the pieces."""
        return self.embeddings.word_embeddings


def attention_mask(mask: Tensor | None) -> Tensor | None:
    """Return which pieces (batch, 1, from, to) see which, of a mask (batch, piece); None where all see all.

    The host never looks at the mask itself: on a GPU it would have to wait for it.
    """
    if mask is None:
        return None
    batch, pieces = mask.shape
    return mask[:, None, None, :].expand(batch, 1, pieces, pieces)


def load_bert(folder: Path, config: BertConfig, layers: int | None = None) -> Bert:
    """Return an encoder in float32 and eval mode, with the weights in a folder and its first `layers` (None: all).

    Raises DataError for weights that cannot be read, MismatchError where some are missing.
    """
    if layers is not None:
        config = replace(config, num_hidden_layers=layers)
    with torch.device("meta"):  # neither computes first weights nor draws random numbers for them
        model = Bert(config)
    missing, state = set(model.state_dict()), dict[str, Any]()
    for path in sorted(folder.glob("*.safetensors")):
        with stored(path, "the weights of an encoder"), safe_open(path, framework="pt") as file:
            for name in missing & set(file.keys()):
                state[name] = file.get_tensor(name).float()
        missing -= state.keys()
    if missing:
        first = ", ".join(sorted(missing)[:3])
        raise MismatchError(f"weights are missing: {first} ({len(missing)} in all)", where=str(folder))
    with stored(folder / "config.json", "the configuration of these weights"):
        model.load_state_dict(state, assign=True)
    return model.eval()
