"""Emissions by torch, from a saved model and its encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tagdistill.encoders.load import Encoder, load_encoder
from tagdistill.encoders.pooling import combined, pool
from tagdistill.models.load import Loaded, find_encoder, load_tagger
from tagdistill.models.word_vectors import find_vectors, open_word_vectors
from tagdistill.tagger.backend import unpadded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.encoders.pieces import Pieces
    from tagdistill.encoders.vectors import WordVectors


class TorchBackend:
    """A saved model with its encoder, on a device."""

    def __init__(self, folder: Path, *, encoder: Path | None = None, device: str = "cpu") -> None:
        """Load a model. Raises TagdistillError where the folder holds none, or its encoder is not there."""
        self.loaded: Loaded = load_tagger(folder, encoder, device)
        self.place, self.device = find_encoder(folder, self.loaded.config, encoder), device
        self.settings = self.loaded.encoder
        self.vectors: WordVectors | None = None
        if self.settings.vectors:
            place = find_vectors(self.place, self.settings.vectors)
            self.vectors = open_word_vectors(place, self.settings.vectors, str(self.place))
        tuned = self.loaded.model.encoder
        self.encoder: Encoder = tuned.encoder if tuned else load_encoder(self.place, max(self.settings.taps))
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
            states = self.encoder.hidden_states(batch.ids, batch.mask, self.taps)
            flat = pool(combined(states, mixed=bool(self.settings.mixed)), batch, self.settings.pooling).half()
            if self.vectors is not None:
                beside = self.vectors(word for sentence in sentences for word in words[sentence])
                flat = torch.cat([flat, torch.from_numpy(beside).to(self.device)], dim=1)
            rows = torch.split(flat.float(), lengths.tolist())
            vectors = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
        else:
            vectors = tuned({"pieces": batch, "lengths": lengths})
        found = self.loaded.model.tagger.emissions(vectors, lengths)
        return unpadded(found.float().cpu().numpy(), pieces, sentences)
