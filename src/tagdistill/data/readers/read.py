"""One way to read any file of labelled or plain sentences."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from tagdistill.data.archives import tar_member
from tagdistill.data.readers.formats.conll import read_conll, read_text, read_wikiann
from tagdistill.data.readers.formats.conllu import read_conllu
from tagdistill.data.readers.formats.parquet import read_table
from tagdistill.data.readers.formats.semeval_xml import read_semeval
from tagdistill.data.readers.lines import Sentence, numbered, opened
from tagdistill.data.sources.catalogue import FORMATS
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tagdistill.settings.language import Language, Split

TEXT_FORMATS: dict[str, Callable[..., Iterator[Sentence]]] = {
    "conllu": read_conllu,
    "conll": read_conll,
    "wikiann": read_wikiann,
    "text": read_text,
}
ARCHIVES = (".tar.gz", ".tgz")
MEMBERS = {"unlabelled": "extra"}  # what WikiAnn calls the rest of a language


def format_of(settings: Language, split: Split | None) -> str:
    """Return the format of a split: its own, else that of the language's source, else the language's."""
    if split and split.format:
        return split.format
    return FORMATS.get(settings.source, settings.format)


def read(
    path: Path,
    settings: Language,
    split: Split | None = None,
    *,
    name: str = "train",
    where: str | None = None,
    tagged: bool | None = None,
    limit: int | None = None,
    notes: Counter[str] | None = None,
) -> Iterator[Sentence]:
    """Yield the sentences of the split `name`, after `take` and `limit`.

    `tagged` says whether labels are read (default: in every split but `unlabelled`); `where` is the name of the file
    in errors; `notes` counts what was left out. Raises DataError (file and line) for anything the format does not
    allow, and where no sentence is left.
    """
    notes = Counter() if notes is None else notes
    kind, where = format_of(settings, split), where or str(path)
    tagged = name != "unlabelled" if tagged is None else tagged
    if tagged and kind == "text":
        raise DataError(
            f"`format: text` has no labels, but the split {name!r} needs them",
            where=where,
            hint="Plain text can only be the `unlabelled` split.",
        )
    found = 0
    with opened(path) as handle:
        sentences = _read(handle, path, kind, settings, settings.part(name), where, tagged, notes)
        for found, sentence in selected(sentences, split, limit):
            yield sentence._replace(number=found)
    if not found:
        raise _nothing(split, where)


def _read(
    handle: BinaryIO,
    path: Path,
    kind: str,
    settings: Language,
    name: str,
    where: str,
    tagged: bool,
    notes: Counter[str],
) -> Iterator[Sentence]:
    if kind == "parquet":
        yield from read_table(handle, where, settings, tagged)
        return
    if kind == "semeval_xml":  # it says its encoding itself
        yield from read_semeval(handle, where, tagged, notes)
        return
    with _member(handle, path, kind, name, where) as (text, place):
        lines = numbered(text, place, settings.encoding, notes)
        yield from TEXT_FORMATS[kind](lines, place, settings, tagged, notes)


@contextmanager
def _member(handle: BinaryIO, path: Path, kind: str, name: str, where: str) -> Iterator[tuple[BinaryIO, str]]:
    """Yield the text: the file itself or, of WikiAnn's archive, the member named as the split. Nothing is unpacked."""
    if kind != "wikiann" or not path.name.endswith(ARCHIVES):
        yield handle, where
        return
    wanted = MEMBERS.get(name, name)
    with tar_member(handle, wanted, where) as text:
        yield text, f"{where}/{wanted}"


Item = TypeVar("Item")


def selected(sentences: Iterator[Item], split: Split | None, limit: int | None) -> Iterator[tuple[int, Item]]:
    """Cut `take` and the smaller limit out; each sentence comes with its number in the file, from 1."""
    start, _, stop = (split.take if split and split.take else ":").partition(":")
    caps = [cap for cap in (limit, split.limit if split else None) if cap is not None]
    cut = islice(enumerate(sentences, 1), int(start or 0), int(stop) if stop else None)
    return islice(cut, min(caps) if caps else None)


def _nothing(split: Split | None, where: str) -> DataError:
    if split and split.take:
        return DataError(f"`take: {split.take}` leaves no sentence", where=where, hint="Sentences count from 0.")
    return DataError("no sentence in this file", where=where, hint="It is empty, or of another format.")
