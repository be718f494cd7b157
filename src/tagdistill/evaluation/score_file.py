"""Score a model on a labelled file."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Unpack

from tagdistill.data.convert_labels import convert, note_tags
from tagdistill.data.plausibility import check_spans, log_notes, note_long
from tagdistill.data.readers.format import check_task, load_format
from tagdistill.data.readers.notes import Notes
from tagdistill.data.readers.options import AUTO, Reading, in_options
from tagdistill.data.readers.read import read
from tagdistill.errors import DataError
from tagdistill.evaluation.metrics import decodings, score
from tagdistill.tagger.open import ModelOptions, decode_of, open_model

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.data.readers.lines import Sentence
    from tagdistill.tagger.tagger import Tagger

log = logging.getLogger(__name__)
LABELLED = (
    "A labelled file has one token and its tag per line (`--format conll`); `tagdistill predict` labels plain text."
)


def evaluate_file(
    model: str | Path,
    file: Path,
    reading: Reading = AUTO,
    *,
    constrained: bool | None = None,
    **options: Unpack[ModelOptions],
) -> str:
    """Return the scores of a model on a labelled file, as JSON to be read by people.

    `constrained`: well-formed spans only; None: as the model says. The other decoding is scored beside it.
    Raises TagdistillError for a file or a model that cannot be read, and for labels that the model does not have.
    """
    tagger = open_model(model, **options)
    with in_options():
        sentences, gold = _labelled(file, reading, tagger)
    decode = decode_of(tagger, constrained)
    beside = tagger.label([sentence.tokens for sentence in sentences], decodings(tagger.labels, decode))
    found = beside.pop(decode)
    scores = score(tagger.task, gold, found, tagger.labels, beside=beside) | {"decode": decode}
    if scores["support"] == 0:
        log.warning("warning: %s: no span in it: F1 is 0 whatever a model predicts", reading.called or str(file))
    return json.dumps({key: value for key, value in scores.items() if key != "sentence_counts"}, indent=2)


def _labelled(file: Path, reading: Reading, tagger: Tagger) -> tuple[list[Sentence], list[list[str]]]:
    """Return the sentences of a file and their labels, in the model's label list."""
    settings = reading.language(file)
    form = load_format(settings.format)
    if not form.labelled:
        raise DataError("plain text has no labels to compare with", where=str(file), hint=LABELLED)
    check_task(f"`format: {settings.format}`", form.tasks, tagger.task, str(file), form.hint)
    notes = Notes()
    sentences = list(read(file, settings, name="test", notes=notes))
    whose = "the model's label list"
    found = convert(sentences, tagger.labels, settings, settings.scheme, tagger.task, str(file), whose=whose)
    note_tags(sentences, found, notes)
    warnings = check_spans(found, "test", str(file), notes) if tagger.task != "pos" else []
    note_long(sentences, notes)
    log_notes(sentences, notes, settings.format, reading.called or str(file), warnings)
    return sentences, found.labels
