"""Label new text with a saved model, or score it on a labelled file of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tagdistill.config import validate
from tagdistill.data.labels import BadTag, to_bioes
from tagdistill.data.lines import Sentence, opened
from tagdistill.data.readers import read
from tagdistill.distill.examples import word_vectors
from tagdistill.encoders.features import encode_pieces
from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.errors import DataError, nearest
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.predictions import write_predictions
from tagdistill.models.batches import gather
from tagdistill.models.inference import MakeBatch, tag
from tagdistill.models.load import Loaded, find_encoder, find_vectors, load_tagger
from tagdistill.models.tuned import PieceInputs
from tagdistill.settings import Language

ENDINGS = {".conllu": "conllu", ".conll": "conll", ".tsv": "conll", ".bio": "conll", ".iob": "conll", ".txt": "text"}


def predict_file(
    model: Path,
    file: Path,
    output: Path,
    *,
    kind: str = "auto",
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
    settings = _as_language(_kind(file, kind), separator=_separator(file))
    with in_options():
        sentences = [s.tokens for s in read(file, settings, name="unlabelled")]
    loaded = load_tagger(model, encoder, device)
    found = label(loaded, sentences, find_encoder(model, loaded.config, encoder), device, constrained=constrained)
    write_predictions(output, sentences, None, found)


def evaluate_file(
    model: Path,
    file: Path,
    *,
    kind: str = "auto",
    scheme: str = "IOB2",
    separator: str = "auto",
    encoder: Path | None = None,
    constrained: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> str:
    """Return the scores of a model on a labelled file, as JSON for a person to read."""
    torch.set_num_threads(threads)
    loaded = load_tagger(model, encoder, device)
    settings = _as_language(_kind(file, kind), scheme=scheme, separator=_separator(file, separator))
    with in_options():
        sentences = list(read(file, settings, name="test"))
        gold = [_gold(sentence, loaded, scheme, file) for sentence in sentences]
    tokens = [sentence.tokens for sentence in sentences]
    found = label(loaded, tokens, find_encoder(model, loaded.config, encoder), device, constrained=constrained)
    scores: dict[str, Any] = score(loaded.config["task"], gold, found, loaded.labels)
    return json.dumps({key: value for key, value in scores.items() if key != "sentence_counts"}, indent=2)


def label(
    loaded: Loaded, sentences: list[list[str]], encoder: Path, device: str = "cpu", *, constrained: bool = False
) -> list[list[str]]:
    """Return the labels of sentences that were never encoded before."""
    lengths = np.array([len(sentence) for sentence in sentences], np.int64)
    make = _tuned(loaded, sentences) if loaded.words is not None else _frozen(loaded, sentences, encoder, device)

    def batch(rows: Any) -> dict[str, Any]:
        return {**make(rows), "lengths": torch.from_numpy(lengths[rows])}

    found = tag(loaded.model, lengths, batch, device=device, constrained=constrained)
    return [[loaded.labels[place] for place in sentence] for sentence in found]


def _tuned(loaded: Loaded, sentences: list[list[str]]) -> MakeBatch:
    assert loaded.words is not None and loaded.model.encoder is not None
    return PieceInputs.of(sentences, loaded.words, loaded.model.encoder, cache=False).batch


def _frozen(loaded: Loaded, sentences: list[list[str]], folder: Path, device: str) -> MakeBatch:
    """Encode as the model's training text was encoded: float16 vectors of the same layer and pooling."""
    settings = loaded.encoder
    pieces = WordPieces.load(folder, drop_bare_underline=settings.drop_bare_underline)(sentences)
    encoder = load_encoder(folder, max(settings.taps)).to(device)
    vectors = torch.zeros(int(pieces.sentences[-1]), encoder.hidden_size, dtype=torch.float16)
    for batch, words in encode_pieces(pieces, encoder, settings):
        vectors[batch.words] = words
    if settings.vectors:
        beside = word_vectors(find_vectors(folder, settings.vectors), settings.vectors, str(folder))
        found = beside(word for sentence in sentences for word in sentence)
        vectors = torch.cat([vectors, torch.from_numpy(found)], dim=1)
    return lambda rows: {"vectors": gather(vectors, pieces.sentences, rows, torch.float32)}


OPTION = re.compile(r"`(format|scheme|separator):(?: (\w+))?`")


@contextmanager
def in_options() -> Iterator[None]:
    """Word the hints of the readers for the command line: there is no config here, and not every key has an option."""
    try:
        yield
    except DataError as error:
        what, hint = (OPTION.sub(_option, text or "") for text in (error.what, error.hint))
        told = [part for part in re.split(r"(?<=[.;]) ", hint) if not re.search(r"`(\w+:|unlabelled`)", part)]
        if hint and not told and "no such file" not in what:
            told = ["The token is the first column, the tag the last, and the text UTF-8."]
        raise DataError(what, where=error.where, hint=" ".join(told) or None) from error


def _option(match: re.Match[str]) -> str:
    return f"`--{match[1]}{' ' + match[2] if match[2] else ''}`"


def _kind(file: Path, kind: str) -> str:
    if kind != "auto":
        return kind
    if file.suffix.lower() not in ENDINGS:
        hint = f"Say it with --format. {nearest(file.suffix, ENDINGS)}"
        raise DataError(f"the ending {file.suffix!r} does not tell the format", where=str(file), hint=hint)
    return ENDINGS[file.suffix.lower()]


def _separator(file: Path, separator: str = "auto") -> str:
    """Return what parts the columns of CoNLL: TABs if the first line with text has one."""
    if separator != "auto":
        return separator
    with opened(file) as handle:
        first = next((line for line in handle if line.strip()), b"")
    return "tab" if b"\t" in first.strip() else "space"


def _as_language(kind: str, **rest: Any) -> Language:
    return validate(Language, {"format": kind, **rest}, "options")


def _gold(sentence: Sentence, loaded: Loaded, scheme: Any, file: Path) -> list[str]:
    tags = list(sentence.tags or [])
    try:
        gold = tags if loaded.config["task"] == "pos" else to_bioes(tags, scheme)[0]
    except BadTag as error:
        raise DataError(error.what, where=sentence.where(str(file), error.position), hint=error.hint) from None
    if unknown := sorted(set(gold) - set(loaded.labels)):
        raise DataError(f"label {unknown[0]!r} is not one of the model's", where=f"{file}:{sentence.line}")
    return gold
