"""Label new text with a saved model, or score the model on a labelled file."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Unpack

from tagdistill.data.convert_labels import convert
from tagdistill.data.plausibility import warnings
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.options import AUTO, Reading, as_options, in_options
from tagdistill.data.readers.read import read
from tagdistill.errors import DataError
from tagdistill.evaluation.labeller import Labeller, LabellerOptions
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.predictions import write_predictions

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.data.readers.lines import Sentence
    from tagdistill.models.load import Loaded

LABELLED = (
    "A labelled file has one token and its tag per line (`--format conll`); `tagdistill predict` labels plain text."
)
log = logging.getLogger(__name__)


def predict_file(
    model: Path, file: Path, output: Path, reading: Reading = AUTO, **options: Unpack[LabellerOptions]
) -> None:
    r"""Write `token TAB _ TAB label` lines for every sentence of a file, a blank line between sentences.

    The layout of the workflow's predictions; the gold column is `_`, since the labels of a labelled file are not read.
    White space inside a token is written as an escape, such as \u0020. Raises TagdistillError for a file or a model
    that cannot be read.
    """
    with in_options():
        sentences = list(read(file, reading.language(file), name="unlabelled"))
    tokens = _tokens(sentences, file)
    write_predictions(output, tokens, None, Labeller.open(model, **options).label(tokens))


def evaluate_file(model: Path, file: Path, reading: Reading = AUTO, **options: Unpack[LabellerOptions]) -> str:
    """Return the scores of a model on a labelled file, as JSON to be read by people.

    Raises TagdistillError for a file or a model that cannot be read, and for labels that the model does not have.
    """
    labeller = Labeller.open(model, **options)
    loaded = labeller.loaded
    with in_options():
        sentences, gold = _labelled(file, reading, loaded)
    predicted = labeller.label(_tokens(sentences, file))
    scores = score(loaded.config["task"], gold, predicted, loaded.labels)
    return json.dumps({key: value for key, value in scores.items() if key != "sentence_counts"}, indent=2)


def _labelled(file: Path, reading: Reading, loaded: Loaded) -> tuple[list[Sentence], list[list[str]]]:
    """Return the sentences of a file and their labels, in the model's label list."""
    settings = reading.language(file)
    form = load_format(settings.format)
    if not form.labelled:
        raise DataError("plain text has no labels to compare with", where=str(file), hint=LABELLED)
    sentences = list(read(file, settings, name="test"))
    scheme, task = form.scheme or settings.scheme, loaded.config["task"]
    gold, _ = convert(sentences, loaded.labels, settings, scheme, task, str(file), whose="the model's label list")
    return sentences, gold


def _tokens(sentences: list[Sentence], file: Path) -> list[list[str]]:
    """Return the tokens of each sentence, and log what is implausible about them."""
    tokens = [sentence.tokens for sentence in sentences]
    for message in warnings(tokens, str(file)):
        log.warning("warning: %s", as_options(message))
    return tokens
