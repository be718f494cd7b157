"""Text with spans given by character offsets: its words, and the spans as tags of words.

Words are runs of letters, digits and the combining marks of Latin, Hebrew and Arabic scripts, joined by an apostrophe
or hyphen between two of them (`don't`, `take-away`); every other character that is not white space is a word of its
own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.data.labels import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tagdistill.data.readers.format import RawFile

WORD = re.compile(r"\w[\w\u0300-\u036f\u0591-\u05c7\u064b-\u0652]*(?:['’\-]\w[\w\u0300-\u036f]*)*|\S")
OFF = "targets lost, whose offsets do not give their text"
INSIDE = "targets lost, which begin or end inside a word"
OVERLAPPING = "targets lost, which overlap another"
REPEATED = "repeated targets, read once"
TRIMMED = "targets read without the white space at their ends"


class Target(NamedTuple):
    """A span of a text: its type, its first character and the one after its last, and what stands there if known."""

    kind: str
    start: int
    end: int
    text: str | None
    line: int | str  # for notes


class Word(NamedTuple):
    """A word of a text and where it stands."""

    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Return the words of a text."""
    return [Word(found[0], *found.span()) for found in WORD.finditer(text)]


def tags_of(text: str, words: Sequence[Word], targets: Iterable[Target], file: RawFile) -> list[str]:
    """Return the spans as IOB2 tags of the words, and note those that are lost: none is moved to where it might belong.

    Of two that overlap the one that begins first is kept, of two that begin together the longer one.
    """
    starts = {word.start: place for place, word in enumerate(words)}
    ends = {word.end: place + 1 for place, word in enumerate(words)}
    tags = [OUTSIDE] * len(words)
    for target in sorted(_whole(text, targets, file), key=lambda target: (target.start, -target.end)):
        shown = repr(text[target.start : target.end])
        if target.start not in starts or target.end not in ends:
            file.note(INSIDE, target.line, shown)
            continue
        first, last = starts[target.start], ends[target.end]
        if any(tag != OUTSIDE for tag in tags[first:last]):
            file.note(OVERLAPPING, target.line, shown)
            continue
        tags[first:last] = [f"B-{target.kind}", *[f"I-{target.kind}"] * (last - first - 1)]
    return tags


def _whole(text: str, targets: Iterable[Target], file: RawFile) -> Iterator[Target]:
    """Yield the distinct targets whose offsets lie in the text and give what is said to stand there."""
    seen: set[tuple[str, int, int]] = set()
    for target in targets:
        found = text[target.start : target.end] if 0 <= target.start < target.end <= len(text) else None
        if not found or not found.strip() or (target.text is not None and found != target.text):
            said = f"{target.text!r} " if target.text is not None else ""
            file.note(OFF, target.line, f"{said}at {target.start} to {target.end}, where {found or 'nothing'!r} stands")
            continue
        bare = target._replace(
            start=target.start + len(found) - len(found.lstrip()), end=target.end - len(found) + len(found.rstrip())
        )
        if bare != target:
            file.note(TRIMMED, target.line, repr(found))
        if bare[:3] in seen:
            file.note(REPEATED, target.line, repr(found))
            continue
        seen.add(bare[:3])
        yield bare
