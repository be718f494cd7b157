"""What the ending of a file of the user's own says, where it is read as another format."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagdistill.data.readers.format import load_format
from tagdistill.data.readers.read import format_of
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tagdistill.settings.language import Language

PLAIN = "text"  # the format without labels
# Those of all formats. A job that reads one of them loads no other: its code is no part of what the job is known by.
ENDINGS = {
    **dict.fromkeys((".conll", ".tsv", ".bio", ".iob"), "conll"),
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "jsonl"),
    ".conllu": "conllu",
    ".parquet": "parquet",
    ".txt": PLAIN,
}


def other_format(source: Path | None, settings: Language, split: str) -> str | None:
    """Return the format that the ending of a split's own file stands for; None if it is read so, or cannot be."""
    if source is None or not settings.given(split):
        return None
    kind = format_of(settings, settings.split(split))
    plain = source.with_suffix("") if source.suffix.lower() == ".gz" else source
    found = ENDINGS.get(plain.suffix.lower())
    if found == kind or not load_format(kind).endings or (found == PLAIN and split != "unlabelled"):
        return None
    return found


@contextmanager
def ending_in_hint(source: Path | None, settings: Language, split: str) -> Iterator[None]:
    """Add the format that the ending stands for to the hint of an error of reading, unless it names one already."""
    try:
        yield
    except DataError as error:
        other = other_format(source, settings, split)
        if other is None or "`format: " in (error.hint or ""):
            raise
        advice = (
            f"{_ends(source)} and is read as {format_of(settings, settings.split(split))}: is it `format: {other}`?"
        )
        raise error.at(error.where, hint=f"The file {advice} {error.hint or ''}".rstrip()) from None


def ending_warnings(source: Path | None, settings: Language, split: str) -> list[str]:
    """Return a warning about text whose ending is that of plain text, unless its format is said for the split alone."""
    own, other = settings.split(split), other_format(source, settings, split)
    if other != PLAIN or (own and own.format):
        return []
    kind = format_of(settings, own)
    how = f"set `format: {other}` if each line is a sentence, else `format: {kind}`"
    return [f"it {_ends(source)} and is read as {kind}: in `{split}: {{path: FILE, format: ...}}` {how}"]


def _ends(source: Path | None) -> str:
    suffixes = [] if source is None else source.suffixes
    return f"ends in {''.join(suffixes[-2:] if suffixes[-1:] == ['.gz'] else suffixes[-1:])}"
