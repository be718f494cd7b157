"""Label a file, or what arrives at stdin, with a model."""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, BinaryIO, Literal, Unpack

from tqdm import tqdm

from tagdistill.artifacts.files import atomic_path, open_output
from tagdistill.artifacts.streams import given_file, is_stream
from tagdistill.data.plausibility import MAX_SENTENCES, log_notes, note_long
from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.lines import Sentence, opened
from tagdistill.data.readers.notes import Notes
from tagdistill.data.readers.options import AUTO, Reading, in_options
from tagdistill.data.readers.read import NO_SENTENCE, read_texts
from tagdistill.errors import DataError
from tagdistill.prediction.source import Source, UnwrittenError
from tagdistill.prediction.writer import Job, Writer, load_writer, packed, writer_by_ending
from tagdistill.tagger.open import ModelOptions, decode_of, open_model
from tagdistill.tagger.texts import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tagdistill.data.readers.format import Given
    from tagdistill.settings.language import Language
    from tagdistill.tagger.results import Tagged
    from tagdistill.tagger.tagger import Tagger

log = logging.getLogger(__name__)
Split = Literal["model", "blanks"]
FIRST_WORDS, MOST_WORDS = 64, 4096  # that are labelled at a time: few at first, so that results begin early
LETTERS = 5  # of a word, on average
WORD = re.compile(r"\S+")


def predict_file(
    model: str | Path,
    file: Path,
    output: Path,
    reading: Reading = AUTO,
    *,
    to: str = "auto",
    split: Split = "model",
    constrained: bool | None = None,
    **options: Unpack[ModelOptions],
) -> None:
    """Write the labels of a file, or of stdin (`-`), in a format of `writers/` (auto: by the output's ending).

    Text is read and written in parts: results are written as soon as reading would wait for more, and memory does not
    grow with the file. Raw text is split as the model says, or at blanks only. `constrained`: well-formed spans only;
    None: as the model says. Raises TagdistillError for a file or a model that cannot be read; then the output is what
    it was before.
    """
    notes = Notes()
    with in_options(), ExitStack() as stack:
        settings = _settings(file, reading)
        called = reading.called or str(file)
        if is_stream(file) and not load_format(settings.format).text:
            file = stack.enter_context(given_file(file))
        tagger = open_model(model, **options)
        form = load_writer(writer_by_ending(output) if to == "auto" else to)
        source = Source(keep=settings.format in form.copies)
        sink = stack.enter_context(open_output(output) if form.streams else _whole(output))
        sink = stack.enter_context(packed(sink, output))
        job = Job(sink, tagger.task, tagger.labels, source, settings.format, settings.encoding, called)
        writer, well_formed = stack.enter_context(form.open(job)), decode_of(tagger, constrained) == "constrained"
        labelling = Labelling(tagger, writer, job, notes, constrained=well_formed, blanks=split == "blanks")
        source.wait = labelling.flush
        size = file.stat().st_size if file.is_file() else None
        bar = stack.enter_context(tqdm(total=size, unit="B", unit_scale=True, leave=False, disable=None))
        texts = _read(read_texts(file, settings, source.of, where=called, notes=notes))
        for given in _or_nothing(texts, called) if settings.format == "text" else texts:
            labelling.add(given)
            bar.update(source.size - bar.n)
        labelling.flush()
        if not labelling.sentences and labelling.filled:
            raise DataError("no word in this file", where=called, hint="It holds blanks or control characters only.")
    if labelling.sentences:
        log_notes(labelling.first, notes, settings.format, called)


def _read(texts: Iterator[Given]) -> Iterator[Given]:
    """Yield the texts; what cannot be written meanwhile is an error of its own, not one of the input."""
    failed = None
    try:
        yield from texts
    except UnwrittenError as error:
        failed = error.__cause__
    if failed is not None:  # not raised above: then each would be the reason for the other
        raise failed


def _or_nothing(texts: Iterator[Given], called: str) -> Iterator[Given]:
    """Yield the texts, also where there is none or all are blank: that is noted, and no error."""
    try:
        yield from texts
    except DataError as error:
        if error.what != NO_SENTENCE:
            raise
        log.warning("note: %s: there is no word in this text", called)


def _settings(file: Path, reading: Reading) -> Language:
    """Return how a file is read: a stream without an ending as plain text.

    Raises DataError if it cannot be opened, before a model is loaded, which takes longer.
    """
    stream = is_stream(file)
    plain = stream and not file.suffix and reading.kind == "auto"
    settings = (replace(reading, kind="text") if plain else reading).language(file)
    if not stream:
        with opened(file):
            pass
    return settings


@contextmanager
def _whole(output: Path) -> Iterator[BinaryIO]:
    """Yield a file to write where nothing can be read before its end."""
    with atomic_path(output) as temporary, temporary.open("wb") as sink:
        yield sink


class Labelling:
    """Texts on their way through a model into a file."""

    def __init__(
        self, tagger: Tagger, writer: Writer, job: Job, notes: Notes, *, constrained: bool, blanks: bool
    ) -> None:
        self.tagger, self.writer, self.sink, self.notes = tagger, writer, job.sink, notes
        self.constrained, self.blanks = constrained, blanks
        self.waiting: list[Given] = []
        self.room = self.most = FIRST_WORDS
        self.sentences = 0  # that are labelled
        self.filled = False  # whether any text is more than blanks
        self.first: list[Sentence] = []  # sentences that are judged by

    def add(self, given: Given) -> None:
        """Take a text, and write those that were taken if they are enough."""
        self.waiting.append(given)
        self.filled = self.filled or bool(given.content.strip() if isinstance(given.content, str) else given.content)
        self.room -= 1 + len(given.content) // (LETTERS if isinstance(given.content, str) else 1)
        if self.room <= 0:
            self.flush()

    def flush(self) -> None:
        """Label and write what was taken."""
        texts = [_as_input(given, blanks=self.blanks) for given in self.waiting]
        for given, tagged in zip(self.waiting, self.tagger(texts, constrained=self.constrained), strict=True):
            self.writer.write(given, tagged)
            self._look_at(given, tagged)
        self.sink.flush()
        self.waiting = []
        self.room = self.most = min(2 * self.most, MOST_WORDS)

    def _look_at(self, given: Given, tagged: Tagged) -> None:
        """Note sentences that are too long, and keep the first ones."""
        for first, end in tagged.sentences:
            tokens = [tagged.text[start:stop] for start, stop in tagged.words[first:end]]
            lines = given.lines if len(given.lines) == len(tokens) else list(given.lines[:1]) * len(tokens)
            self.sentences += 1
            sentence = Sentence(tokens, None, lines, number=self.sentences)
            note_long([sentence], self.notes)
            if len(self.first) < MAX_SENTENCES:
                self.first.append(sentence)


def _as_input(given: Given, *, blanks: bool) -> str | list[str] | Text:
    """Return what the tagger is given: each line of a text is a sentence if its words are known."""
    if isinstance(given.content, list):
        return _of_sentences(given.content, given.sentences) if given.sentences else given.content
    if given.words is None and not blanks:
        return given.content
    text = given.content
    words = given.words or tuple(found.span() for found in WORD.finditer(text))
    ends = [place for place, (one, two) in enumerate(pairwise(words), 1) if "\n" in text[one[1] : two[0]]]
    bounds = pairwise([0, *ends, len(words)])
    return Text(text, tuple(words[first:end] for first, end in bounds if end > first))


def _of_sentences(words: list[str], sentences: Sequence[tuple[int, int]]) -> Text:
    """Return words, joined by blanks, as the sentences that they are."""
    ends = list(accumulate(len(word) + 1 for word in words))
    offsets = tuple((end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True))
    return Text(" ".join(words), tuple(offsets[first:end] for first, end in sentences))
