"""One way to read any file of labelled or plain sentences."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from tagdistill.data.readers.first_bytes import refuse_other_content, unpacked
from tagdistill.data.readers.format import Format, Given, RawFile, load_format
from tagdistill.data.readers.lines import Sentence, opened
from tagdistill.data.readers.notes import BROKEN, NOT_LABELLED, Notes
from tagdistill.data.sources.source import load_source
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tagdistill.settings.language import Language, Split

NO_SENTENCE = "no sentence in this file"


def format_of(settings: Language, split: Split | None) -> str:
    """Return the format of a split: its own, else that of the language's source, else the language's."""
    if split and split.format:
        return split.format
    return load_source(settings.source).format or settings.format


def read(
    path: Path,
    settings: Language,
    split: Split | None = None,
    *,
    name: str = "train",
    where: str | None = None,
    tagged: bool | None = None,
    limit: int | None = None,
    notes: Notes | None = None,
) -> Iterator[Sentence]:
    """Yield the sentences of the split `name`, after `take` and `limit`. Files compressed as .gz are unpacked.

    `tagged` says whether labels are read (default: in every split but `unlabelled`); `where` is the name of the file
    in errors; `notes` takes what was left out or odd in the sentences of the split. Raises DataError (file and line)
    for anything the format does not allow, and where no sentence is left.
    """
    notes = Notes() if notes is None else notes
    kind, where = format_of(settings, split), where or str(path)
    tagged = name != "unlabelled" if tagged is None else tagged
    form = load_format(kind)
    if kind != format_of(settings, None):  # a header is that of the language's other files
        settings = settings.model_copy(update={"skip_lines": 0})
    if tagged and not form.labelled:
        raise DataError(
            f"`format: {kind}` has no labels, but the split {name!r} needs them",
            where=where,
            hint="Plain text can only be the `unlabelled` split.",
        )
    found = 0
    with _content(path, form, kind, where, settings.encoding) as handle:
        sentences = form.read(RawFile(handle, path, where, settings, settings.part(name), tagged, notes))
        for found, sentence in selected(sentences, split, limit, notes):
            tokens, tags, lines, source_id, multiword, _, scheme = sentence  # `_replace` takes three times as long
            yield Sentence(tokens, tags, lines, source_id, multiword, found, scheme)
    if not found:
        raise _nothing(split, where, notes)


def read_texts(
    path: Path, settings: Language, through: Callable[[BinaryIO], BinaryIO], *, where: str, notes: Notes
) -> Iterator[Given]:
    """Yield what there is to label in a file, or in stdin (`-`): sentences of words, or raw text.

    Lines are read by way of `through`. Raises DataError as `read` does, also where there is nothing.
    """
    form = load_format(settings.format)
    found = False
    with _content(path, form, settings.format, where, settings.encoding) as content:
        handle = through(content) if form.text else content
        file = RawFile(handle, path, where, settings, "unlabelled", tagged=False, notes=notes)
        for given in form.texts(file) if form.texts else map(_given, form.read(file)):
            found = found or bool(given.content.strip() if isinstance(given.content, str) else given.content)
            yield given
    if not found:
        raise _nothing(None, where, notes)


def _given(sentence: Sentence) -> Given:
    return Given(sentence.tokens, sentence.lines, sentence.source_id)


@contextmanager
def _content(path: Path, form: Format, kind: str, where: str, encoding: str) -> Iterator[BinaryIO]:
    """Open a file that is to be read in a format. Archives of splits are opened by their format."""
    with opened(path) as raw:
        if path.name.endswith(form.archives):
            yield raw
            return
        with unpacked(raw, where) as handle:
            if form.text:
                refuse_other_content(handle, where, encoding, kind)
            yield handle


Item = TypeVar("Item")


def selected(
    sentences: Iterator[Item], split: Split | None, limit: int | None, notes: Notes | None = None
) -> Iterator[tuple[int, Item]]:
    """Cut `take` and the smaller limit out; each sentence comes with its number in the file, from 1.

    Notes about sentences before the cut are forgotten.
    """
    start, _, stop = (split.take if split and split.take else ":").partition(":")
    caps = [cap for cap in (limit, split.limit if split else None) if cap is not None]
    numbered = enumerate(sentences, 1)
    before = sum(1 for _ in islice(numbered, int(start or 0)))
    if before and notes is not None:
        notes.clear()
    cut = islice(numbered, max(0, int(stop) - int(start or 0)) if stop else None)
    return islice(cut, min(caps) if caps else None)


def _nothing(split: Split | None, where: str, notes: Notes) -> DataError:
    if broken := notes.count(BROKEN):
        what = f"no sentence is left: {broken:,} are broken (`broken: leave_out`)"
        return DataError(what, where=where, hint="Check `format:`, `columns:` and `separator:`.")
    if tasks := notes.count(NOT_LABELLED):
        what = f"no sentence is left: nobody has labelled any of the {tasks:,} tasks"
        return DataError(what, where=where, hint="Export the tasks with their annotations.")
    if split and split.take:
        return DataError(f"`take: {split.take}` leaves no sentence", where=where, hint="Sentences count from 0.")
    return DataError(NO_SENTENCE, where=where, hint="It is empty, or of another format.")
