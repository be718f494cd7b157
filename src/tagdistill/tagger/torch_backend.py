"""Emissions by torch, from a saved model and its encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tagdistill.encoders.load import Encoder, load_encoder
from tagdistill.encoders.pooling import combined, pool
from tagdistill.encoders.precision import usable_precision
from tagdistill.models.batches import by_sentence
from tagdistill.models.load import Loaded, find_encoder, load_tagger
from tagdistill.models.model import read_config
from tagdistill.models.word_vectors import find_vectors, open_word_vectors
from tagdistill.settings.encoder import WordEncoder
from tagdistill.tagger.backend import unpadded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.encoders.pieces import Pieces
    from tagdistill.encoders.vectors import WordVectors
    from tagdistill.settings.encoder import Precision


class TorchBackend:
    """A saved model with its encoder, on a device."""

    def __init__(
        self, folder: Path, *, encoder: Path | None = None, device: str = "cpu", precision: Precision | None = None
    ) -> None:
        """Load a model; `precision`: in which its encoder computes, instead of as in training.

        A device that lacks that of the training computes in fp32. Raises TagdistillError where the folder holds no
        model, or its encoder is not there.
        """
        trained = WordEncoder.model_validate(read_config(folder)["encoder"])
        precision = precision or usable_precision(trained.precision, device)
        self.loaded: Loaded = load_tagger(folder, encoder, device, precision)
        self.place, self.device = find_encoder(folder, self.loaded.config, encoder), device
        self.settings = self.loaded.encoder
        self.vectors: WordVectors | None = None
        if self.settings.vectors:
            place = find_vectors(self.place, self.settings.vectors)
            self.vectors = open_word_vectors(place, self.settings.vectors, str(self.place))
        tuned = self.loaded.model.encoder
        layers = max(self.settings.taps)
        self.encoder: Encoder = tuned.encoder if tuned else load_encoder(self.place, layers, precision)
        self.encoder.to(device)

    @property
    def taps(self) -> tuple[int, ...]:
        """The hidden layers whose average or mix is read: of a fine-tuned model its last, or those that it mixes."""
        return self.settings.taps if (tuned := self.loaded.model.encoder) is None else tuned.taps

    @property
    def frozen(self) -> bool:
        """Whether the encoder is frozen: then word vectors are rounded to float16, as they are stored."""
        return self.loaded.model.encoder is None

    @torch.inference_mode()
    def emissions(
        self, pieces: Pieces, words: Sequence[Sequence[str]], sentences: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Return the emissions (word, label) of some sentences."""
        batch = pieces.batch(pieces.windows_of(sentences)).to(self.device)
        lengths = torch.from_numpy(np.diff(pieces.sentences)[list(sentences)])
        if (tuned := self.loaded.model.encoder) is None:
            states = self.encoder.hidden_states(batch.ids, batch.seen, self.taps)
            flat = pool(combined(states, mixed=bool(self.settings.mixed)), batch, self.settings.pooling).half()
            if self.vectors is not None:
                beside = self.vectors(word for sentence in sentences for word in words[sentence])
                flat = torch.cat([flat, torch.from_numpy(beside).to(self.device)], dim=1)
            vectors = by_sentence(flat.float(), lengths)
        else:
            vectors = tuned({"pieces": batch, "lengths": lengths})
        found = self.loaded.model.tagger.emissions(vectors, lengths)
        return unpadded(found.float().cpu().numpy(), pieces, sentences)
