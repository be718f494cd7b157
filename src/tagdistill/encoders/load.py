"""A transformer encoder as tagging needs it: its first layers only, any hidden layer, resumable from cached states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from tagdistill.encoders.bert import Bert, BertConfig, attention_mask, load_bert
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.precision import computing
from tagdistill.encoders.pretrained import load_model
from tagdistill.errors import ConfigError, TagdistillError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tagdistill.settings.encoder import Precision

LAYER_LISTS = {
    "bert": "encoder.layer",
    "camembert": "encoder.layer",
    "distilbert": "transformer.layer",
    "modernbert": "layers",
    "roberta": "encoder.layer",
    "xlm-roberta": "encoder.layer",
    "xlm-roberta-xl": "encoder.layer",
}


def load_encoder(folder: Path, layers: int | None = None, precision: Precision = "auto") -> Encoder:
    """Return the encoder in a folder with only its first `layers` layers (None: all), in float32 and eval mode.

    `precision`: in which it computes. Raises ConfigError where the encoder has fewer layers, DataError or MismatchError
    where the folder is not whole.
    """
    info = EncoderInfo.read(folder)
    if layers is not None:
        check_layers(info, layers)
    info.check_weights(folder)
    if config := BertConfig.read(folder):
        return Encoder(load_bert(folder, config, layers), info, precision)
    return Encoder(load_model(folder, layers=layers, dtype=torch.float32), info, precision)


def check_layers(info: EncoderInfo, highest: int, key: str = "encoder.layers") -> None:
    """Refuse a layer that the encoder does not have."""
    if highest > info.layers:
        raise ConfigError(f"layer {highest}, but {info.id} has layers 0 to {info.layers}", where=key)


class Encoder(nn.Module):
    """The first layers of a transformer. Hidden layer 0 is the embedding output, layer k that of the k-th block.

    `ids` (batch, piece) are int64, `mask` (batch, piece) is true on pieces and false on padding, or None where there is
    no padding; states are (batch, piece, hidden).
    """

    def __init__(self, model: Any, info: EncoderInfo, precision: Precision = "auto") -> None:
        super().__init__()
        self.model, self.info, self.precision = model, info, precision
        self.kind: str = model.config.model_type
        self.depth: int = model.config.num_hidden_layers
        self.hidden_size: int = info.hidden_size

    @property
    def resumable(self) -> bool:
        """Whether `forward_from` knows how this architecture steps from layer to layer."""
        return self.kind in LAYER_LISTS

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks: `layers[k]` turns hidden layer k into hidden layer k + 1."""
        self._check_resumable()
        return cast("nn.ModuleList", self.model.get_submodule(LAYER_LISTS[self.kind]))

    def freeze(self, first: int, *, embeddings: bool = True) -> None:
        """Keep the first blocks fixed, and the word embeddings too unless `embeddings` is false; frees the others.

        With blocks frozen everything below them is: nothing would reach it that it could use.
        """
        self.requires_grad_(True)
        if embeddings:
            self.model.get_input_embeddings().requires_grad_(False)
        if first:
            self.model.embeddings.requires_grad_(False)
            self.layers[:first].requires_grad_(False)

    def hidden_states(self, ids: Tensor, mask: Tensor | None, taps: Sequence[int]) -> list[Tensor]:
        """Return the states (batch, piece, hidden) of the hidden layers `taps`, in their order; no layer above runs."""
        self._check_layer(max(taps))
        if not self.resumable:
            seen = torch.ones_like(ids) if mask is None else mask.long()
            with computing(self.precision, ids.device.type):
                found = self.model(input_ids=ids, attention_mask=seen, output_hidden_states=True).hidden_states
            return [found[tap] for tap in taps]
        with computing(self.precision, ids.device.type):
            found = self._run(self.model.embeddings(input_ids=ids), mask, 0, max(taps), set(taps))
        return [found[tap] for tap in taps]

    def forward_from(self, states: Tensor, mask: Tensor | None, first_layer: int, taps: Sequence[int]) -> list[Tensor]:
        """Return the hidden layers `taps`, in their order, computed from the states of hidden layer `first_layer`.

        Raises TagdistillError for an architecture whose layers cannot be run on their own.
        """
        self._check_resumable()
        self._check_layer(max(taps))
        with computing(self.precision, states.device.type):
            found = self._run(states, mask, first_layer, max(taps), set(taps))
        return [found[tap] for tap in taps]

    def _run(self, states: Tensor, mask: Tensor | None, first: int, last: int, keep: set[int]) -> dict[int, Tensor]:
        """Step from hidden layer `first` to `last` and return the states of the layers in `keep`."""
        arguments = self._layer_arguments(states, mask)
        found = {first: states} if first in keep else {}
        for index in range(first, last):
            layer = self.layers[index]
            states = layer(states, **arguments(layer))
            if self.info.whole and index + 1 == self.info.layers and hasattr(self.model, "final_norm"):
                states = self.model.final_norm(states)  # a pre-norm encoder's: it belongs to the very last layer
            if index + 1 in keep:
                found[index + 1] = states
        return found

    def _layer_arguments(self, states: Tensor, mask: Tensor | None) -> Callable[[nn.Module], dict[str, Any]]:
        """Return a function from a block to its keyword arguments: attention masks as transformers makes them."""
        if isinstance(self.model, Bert):
            whole = attention_mask(mask)
            return lambda _layer: {"attention_mask": whole}
        from transformers.masking_utils import create_bidirectional_mask, create_bidirectional_sliding_window_mask

        config = self.model.config
        # by position: the name of the second parameter differs between releases of transformers
        full = create_bidirectional_mask(config, states, mask)
        if self.kind != "modernbert":
            return lambda _layer: {"attention_mask": full}
        masks = {
            "full_attention": full,
            "sliding_attention": create_bidirectional_sliding_window_mask(config, states, mask),
        }
        places = torch.arange(states.shape[1], device=states.device)[None]
        rotary = {kind: self.model.rotary_emb(states, places, kind) for kind in set(config.layer_types)}
        return lambda layer: {
            "attention_mask": masks[str(layer.attention_type)],
            "position_embeddings": rotary[str(layer.attention_type)],
        }

    def _check_layer(self, layer: int) -> None:
        if layer > self.depth:
            raise ConfigError(f"hidden layer {layer}, but only {self.depth} layers are loaded", where="encoder.tap")

    def _check_resumable(self) -> None:
        if not self.resumable:
            raise TagdistillError(
                f"the layers of a {self.kind!r} model cannot be run on their own",
                where=f"encoder {self.info.id}",
                hint=f"Architectures that allow it: {', '.join(sorted(LAYER_LISTS))}.",
            )
