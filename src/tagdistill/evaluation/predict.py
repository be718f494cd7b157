"""Label new text with a saved model, or score the model on a labelled file."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Unpack

from tagdistill.data.convert_labels import convert, note_tags
from tagdistill.data.plausibility import check_spans, file_warnings, note_long
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.notes import Notes, note_lines
from tagdistill.data.readers.options import AUTO, Reading, as_options, in_options
from tagdistill.data.readers.read import read
from tagdistill.errors import DataError
from tagdistill.evaluation.labeller import Labeller, LabellerOptions
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.predictions import write_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
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
        settings, notes = reading.language(file), Notes()
        sentences = list(read(file, settings, name="unlabelled", notes=notes))
    _log_notes(sentences, notes, settings.format, reading.called or str(file))
    tokens = [sentence.tokens for sentence in sentences]
    write_predictions(output, tokens, None, Labeller.open(model, **options).label(tokens))


def evaluate_file(model: Path, file: Path, reading: Reading = AUTO, **options: Unpack[LabellerOptions]) -> str:
    """Return the scores of a model on a labelled file, as JSON to be read by people.

    Raises TagdistillError for a file or a model that cannot be read, and for labels that the model does not have.
    """
    labeller = Labeller.open(model, **options)
    loaded = labeller.loaded
    with in_options():
        sentences, gold = _labelled(file, reading, loaded)
    predicted = labeller.label([sentence.tokens for sentence in sentences])
    scores = score(loaded.config["task"], gold, predicted, loaded.labels)
    return json.dumps({key: value for key, value in scores.items() if key != "sentence_counts"}, indent=2)


def _labelled(file: Path, reading: Reading, loaded: Loaded) -> tuple[list[Sentence], list[list[str]]]:
    """Return the sentences of a file and their labels, in the model's label list."""
    settings = reading.language(file)
    form = load_format(settings.format)
    if not form.labelled:
        raise DataError("plain text has no labels to compare with", where=str(file), hint=LABELLED)
    notes, task = Notes(), loaded.config["task"]
    sentences = list(read(file, settings, name="test", notes=notes))
    whose = "the model's label list"
    found = convert(sentences, loaded.labels, settings, settings.scheme, task, str(file), whose=whose)
    note_tags(sentences, found, notes)
    warnings = check_spans(found.labels, "test", str(file), notes) if task != "pos" else []
    _log_notes(sentences, notes, settings.format, reading.called or str(file), warnings)
    return sentences, found.labels


def _log_notes(sentences: Sequence[Sentence], notes: Notes, kind: str, name: str, warnings: Sequence[str] = ()) -> None:
    """Log what the reader noted about a file, and the warnings about it."""
    note_long(sentences, notes)
    for line in note_lines(notes.record(name)):
        log.info("note: %s", line)
    for warning in (*file_warnings(sentences, notes, kind), *warnings):
        log.warning("warning: %s: %s", name, as_options(warning))
