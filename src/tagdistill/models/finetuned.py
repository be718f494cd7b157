"""The upper layers of an encoder as part of a model that fine-tunes them.

The layers below `first` are frozen: their states are read from a store, or computed once, and a step runs the upper
ones only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from tagdistill.artifacts.files import check_belongs
from tagdistill.artifacts.scratch import scratch
from tagdistill.encoders.load import Encoder, load_encoder
from tagdistill.encoders.pieces import Pieces, WordPieces, offsets
from tagdistill.encoders.pooling import combined, pool
from tagdistill.encoders.states import States, batch_states, fill_states
from tagdistill.encoders.store import FeatureStore
from tagdistill.errors import ConfigError
from tagdistill.models.batches import by_sentence
from tagdistill.models.inputs import ModelInputs, SentenceInputs
from tagdistill.settings.encoder import EncoderSettings


class TunedLayers(nn.Module):
    """Word vectors from the tuned layers of an encoder; its frozen layers are used but not saved with the model."""

    def __init__(self, encoder: Encoder, first: int, settings: EncoderSettings) -> None:
        """Tune layer `first` and those above it. Raises ConfigError if the encoder has no such layer."""
        super().__init__()
        if first >= encoder.depth:
            raise ConfigError(
                f"tunes from layer {first}, but `encoder.layers` keeps {encoder.depth} layers", where="tune_from"
            )
        if settings.mixed and min(settings.mixed) <= first:
            what = f"mixes layer {min(settings.mixed)}, but tunes those above {first} only"
            raise ConfigError(what, where="encoder.tap")
        self.first, self.pooling, self.taps = first, settings.pooling, settings.mixed or (encoder.depth,)
        self.whole = not settings.freeze_embeddings
        encoder.freeze(0 if self.whole else first, embeddings=not self.whole)
        # A list hides the encoder from `parameters()`: only what is tuned is trained, saved and counted.
        self._held = [encoder]
        self.blocks = encoder.model if self.whole else encoder.layers[first:]

    @property
    def encoder(self) -> Encoder:
        """The whole encoder, frozen layers included."""
        return self._held[0]

    @property
    def hidden_size(self) -> int:
        """Size of a word's vector."""
        return self.encoder.hidden_size

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.encoder._apply(fn)  # type: ignore[no-untyped-call]  # torch does not annotate it; it moves the frozen layers
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation, frozen layers included."""
        self.encoder.train(mode)
        return super().train(mode)

    def forward(self, batch: ModelInputs) -> Float[Tensor, "batch time dim"]:
        """Return the word vectors of a batch, those of layers to mix beside one another; padding is 0."""
        pieces = batch["pieces"]
        if self.whole:
            states = self.encoder.hidden_states(pieces.ids, pieces.seen, self.taps)
        else:
            states = self.encoder.forward_from(self._lower(batch), pieces.seen, self.first, self.taps)
        words = pool(combined(states, mixed=True), pieces, self.pooling)
        return by_sentence(words, batch["lengths"])

    def _lower(self, batch: ModelInputs) -> Tensor:
        if "states" in batch:
            return batch["states"]
        with torch.no_grad():
            return self.encoder.hidden_states(batch["pieces"].ids, batch["pieces"].seen, [self.first])[0]


class PieceInputs:
    """The pieces of many sentences and, if they are known, the states of the layers below the tuned ones."""

    def __init__(self, pieces: Pieces, states: States | None = None) -> None:
        self.pieces, self.states = pieces, states

    @classmethod
    def of(
        cls,
        texts: Sequence[Sequence[Sequence[str]]],
        words: WordPieces,
        layers: TunedLayers,
        *,
        stored: Sequence[FeatureStore | None] = (),
        cache: bool = False,
        room: Path | None = None,
    ) -> PieceInputs:
        """Tokenise the sentences of some texts; `stored` are the states of each, from its store.

        `cache`: run the frozen layers once over a text without a store. `room`: a folder for temporary files, which
        these states are mapped from; None: they are in memory. Raises MismatchError for states that are not those of
        the frozen layers or of the text.
        """
        pieces = words(chain.from_iterable(texts))
        layers.encoder.eval()
        stores = stored or [None] * len(texts)
        if layers.whole or not (cache or None not in stores):
            return cls(pieces)
        bounds = pieces.first_windows[offsets([len(text) for text in texts])].tolist()
        parts = [
            _stored(store, pieces, layers, windows) if store is not None else _computed(pieces, layers, windows, room)
            for store, windows in zip(stores, map(range, bounds, bounds[1:]), strict=True)
        ]
        return cls(pieces, States(parts, offsets(pieces.window_lengths)))

    def batch(self, rows: NDArray[np.intp]) -> SentenceInputs:
        """Return the model's inputs for some sentences: their pieces, and their states if they are cached."""
        windows = self.pieces.windows_of(rows.tolist())
        batch = self.pieces.batch(windows)
        if self.states is None:
            return {"pieces": batch}
        return {"pieces": batch, "states": batch_states(self.states, batch)}


def _stored(store: FeatureStore, pieces: Pieces, layers: TunedLayers, windows: range) -> NDArray[np.float16]:
    """Return the states of a text from its store. Raises MismatchError where they are not those that are needed."""
    made_with = {"encoder_sha256": layers.encoder.info.sha256, "taps": [layers.first], "pooling": "none"}
    check_belongs(store.path, store.metadata, **made_with)
    store.check_windows(pieces.window_lengths[windows.start : windows.stop])
    return store.features.numpy()


def _computed(pieces: Pieces, layers: TunedLayers, windows: range, room: Path | None) -> NDArray[np.float16]:
    """Run the frozen layers over a text: its states do not depend on other texts beside it."""
    number = int(pieces.window_lengths[windows.start : windows.stop].sum())
    states: NDArray[np.float16] = scratch(room, (number, layers.hidden_size), np.float16)
    fill_states(states, pieces, layers.encoder, layers.first, windows=windows, progress="states")
    return states


def load_tuned(folder: Path, settings: EncoderSettings, first: int) -> tuple[TunedLayers, WordPieces]:
    """Return the layers to tune of the encoder in a folder, from layer `first` up, and its tokenizer."""
    words = WordPieces.load(folder, drop_bare_underline=settings.drop_bare_underline)
    return TunedLayers(load_encoder(folder, settings.layers, settings.precision), first, settings), words
