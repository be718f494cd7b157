"""Label new text with a saved model, or score it on a labelled file of one's own."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tagdistill.data.convert_labels import convert
from tagdistill.data.plausibility import warnings
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.options import AUTO, Reading, as_options, in_options
from tagdistill.data.readers.read import read
from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.states import encode_pieces
from tagdistill.errors import DataError, TagdistillError
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.predictions import write_predictions
from tagdistill.models.batches import gather
from tagdistill.models.finetuned import PieceInputs
from tagdistill.models.inference import tag
from tagdistill.models.load import Loaded, find_encoder, load_tagger
from tagdistill.models.word_vectors import find_vectors, open_word_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.data.readers.lines import Sentence
    from tagdistill.models.inputs import MakeInputs, ModelInputs

LABELLED = "A labelled file has a token and its tag a line (`--format conll`); `tagdistill predict` labels plain text."
log = logging.getLogger(__name__)


def predict_file(
    model: Path,
    file: Path,
    output: Path,
    reading: Reading = AUTO,
    *,
    encoder: Path | None = None,
    constrained: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Write `token TAB _ TAB label` lines for every sentence of a file, a blank line between sentences.

    The layout of the workflow's predictions; the gold column is `_`, since the labels of a labelled file are not read.
    White space inside a token is written as an escape, such as \\u0020.
    """
    torch.set_num_threads(threads)
    with in_options():
        sentences = list(read(file, reading.language(file), name="unlabelled"))
    _doubt(sentences, file)
    tokens = [sentence.tokens for sentence in sentences]
    loaded = _load(model, encoder, device)
    found = label(loaded, tokens, find_encoder(model, loaded.config, encoder), device, constrained=constrained)
    write_predictions(output, tokens, None, found)


def evaluate_file(
    model: Path,
    file: Path,
    reading: Reading = AUTO,
    *,
    encoder: Path | None = None,
    constrained: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> str:
    """Return the scores of a model on a labelled file, as JSON for a person to read."""
    torch.set_num_threads(threads)
    loaded = _load(model, encoder, device)
    with in_options():
        settings = reading.language(file)
        form = load_format(settings.format)
        if not form.labelled:
            raise DataError("plain text has no labels to compare with", where=str(file), hint=LABELLED)
        sentences = list(read(file, settings, name="test"))
        task, whose = loaded.config["task"], "the model's label list"
        gold, _ = convert(
            sentences, loaded.labels, settings, form.scheme or settings.scheme, task, str(file), whose=whose
        )
    _doubt(sentences, file)
    tokens = [sentence.tokens for sentence in sentences]
    found = label(loaded, tokens, find_encoder(model, loaded.config, encoder), device, constrained=constrained)
    scores: dict[str, Any] = score(task, gold, found, loaded.labels)
    return json.dumps({key: value for key, value in scores.items() if key != "sentence_counts"}, indent=2)


def label(
    loaded: Loaded, sentences: list[list[str]], encoder: Path, device: str = "cpu", *, constrained: bool = False
) -> list[list[str]]:
    """Return the labels of sentences that were never encoded before."""
    lengths = np.array([len(sentence) for sentence in sentences], np.int64)
    make = _tuned(loaded, sentences) if loaded.words is not None else _frozen(loaded, sentences, encoder, device)

    def batch(rows: NDArray[np.intp]) -> ModelInputs:
        return {**make(rows), "lengths": torch.from_numpy(lengths[rows])}

    found = tag(loaded.model, lengths, batch, device=device, constrained=constrained)
    return [[loaded.labels[place] for place in sentence] for sentence in found]


def _tuned(loaded: Loaded, sentences: list[list[str]]) -> MakeInputs:
    assert loaded.words is not None and loaded.model.encoder is not None
    return PieceInputs.of(sentences, loaded.words, loaded.model.encoder, cache=False).batch


def _frozen(loaded: Loaded, sentences: list[list[str]], folder: Path, device: str) -> MakeInputs:
    """Encode as the model's training text was encoded: float16 vectors of the same layer and pooling."""
    settings = loaded.encoder
    pieces = WordPieces.load(folder, drop_bare_underline=settings.drop_bare_underline)(sentences)
    encoder = load_encoder(folder, max(settings.taps)).to(device)
    vectors = torch.zeros(int(pieces.sentences[-1]), encoder.hidden_size, dtype=torch.float16)
    for batch, words in encode_pieces(pieces, encoder, settings):
        vectors[batch.words] = words
    if settings.vectors:
        beside = open_word_vectors(find_vectors(folder, settings.vectors), settings.vectors, str(folder))
        found = beside(word for sentence in sentences for word in sentence)
        vectors = torch.cat([vectors, torch.from_numpy(found)], dim=1)
    return lambda rows: {"vectors": gather(vectors, pieces.sentences, rows, torch.float32)}


def _load(folder: Path, encoder: Path | None, device: str) -> Loaded:
    inside = folder / "model"
    if not (folder / "config.json").exists() and (inside / "config.json").exists():
        raise TagdistillError("holds no saved model itself", where=str(folder), hint=f"Give --model {inside}.")
    return load_tagger(folder, encoder, device)


def _doubt(sentences: list[Sentence], file: Path) -> None:
    for told in warnings((sentence.tokens for sentence in sentences), str(file)):
        log.warning("warning: %s", as_options(told))
