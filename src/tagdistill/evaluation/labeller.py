"""A saved model that labels text which was never encoded before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import torch

from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.states import encode_pieces
from tagdistill.errors import TagdistillError
from tagdistill.models.batches import gather
from tagdistill.models.finetuned import PieceInputs
from tagdistill.models.inference import tag
from tagdistill.models.load import Loaded, find_encoder, load_tagger
from tagdistill.models.word_vectors import find_vectors, open_word_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.models.inputs import MakeInputs, ModelInputs


class LabellerOptions(TypedDict, total=False):
    """How a model is run: its encoder's folder, whether spans must be well-formed, the device, the CPU threads."""

    encoder: Path | None
    constrained: bool
    device: str
    threads: int


@dataclass(frozen=True)
class Labeller:
    """A loaded model with its encoder's folder, on a device."""

    loaded: Loaded
    encoder: Path
    device: str = "cpu"
    constrained: bool = False

    @classmethod
    def open(cls, folder: Path, **options: Unpack[LabellerOptions]) -> Labeller:
        """Load a saved model. Raises TagdistillError where the folder holds none, or its encoder is not there."""
        torch.set_num_threads(options.get("threads", 1))
        inside = folder / "model"
        if not (folder / "config.json").exists() and (inside / "config.json").exists():
            raise TagdistillError("holds no saved model itself", where=str(folder), hint=f"Give --model {inside}.")
        given, device = options.get("encoder"), options.get("device", "cpu")
        loaded = load_tagger(folder, given, device)
        encoder = find_encoder(folder, loaded.config, given)
        return cls(loaded, encoder, device, options.get("constrained", False))

    def label(self, sentences: list[list[str]]) -> list[list[str]]:
        """Return the best labels of each sentence, given as tokens."""
        loaded = self.loaded
        lengths = np.array([len(sentence) for sentence in sentences], np.int64)
        make = self._pieces(sentences) if loaded.words is not None else self._vectors(sentences)

        def batch(rows: NDArray[np.intp]) -> ModelInputs:
            return {**make(rows), "lengths": torch.from_numpy(lengths[rows])}

        best = tag(loaded.model, lengths, batch, device=self.device, constrained=self.constrained)
        return [[loaded.labels[place] for place in sentence] for sentence in best]

    def _pieces(self, sentences: list[list[str]]) -> MakeInputs:
        """Return the inputs of a fine-tuned model: word pieces."""
        assert self.loaded.words is not None and self.loaded.model.encoder is not None
        return PieceInputs.of(sentences, self.loaded.words, self.loaded.model.encoder, cache=False).batch

    def _vectors(self, sentences: list[list[str]]) -> MakeInputs:
        """Encode as the model's training text was encoded: float16 vectors of the same layer and pooling."""
        settings = self.loaded.encoder
        pieces = WordPieces.load(self.encoder, drop_bare_underline=settings.drop_bare_underline)(sentences)
        encoder = load_encoder(self.encoder, max(settings.taps)).to(self.device)
        vectors = torch.zeros(int(pieces.sentences[-1]), encoder.hidden_size, dtype=torch.float16)
        for batch, words in encode_pieces(pieces, encoder, settings):
            vectors[batch.words] = words
        if settings.vectors:
            look_up = open_word_vectors(
                find_vectors(self.encoder, settings.vectors), settings.vectors, str(self.encoder)
            )
            beside = look_up(word for sentence in sentences for word in sentence)
            vectors = torch.cat([vectors, torch.from_numpy(beside)], dim=1)
        return lambda rows: {"vectors": gather(vectors, pieces.sentences, rows, torch.float32)}
