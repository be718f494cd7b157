"""Sentences that two labelled splits share: a score on what was trained or chosen on means little."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.formatting import count

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

MIN_SHARE = 0.1  # of the sentences of the smaller split: fewer are a note, and are not reported of two languages


class Part(NamedTuple):
    """The sentences of one split."""

    name: str  # en.train
    language: str
    split: str
    file: str
    hashes: array[int]  # of each sentence as it is written
    lines: array[int]  # where each begins; 0 if its file has no lines
    first: int  # the number of the first sentence in its file

    def where(self, place: int) -> str:
        """Return where a sentence begins, for people."""
        line = self.lines[place]
        return f"{self.file}:{line}" if line else f"{self.file}: sentence {self.first + place}"


def shared(parts: Sequence[Part], *, tests_left_out: bool = False) -> Iterator[str]:
    """Yield a line for each two splits that share sentences, whatever their files are called.

    `tests_left_out`: training text is prepared without test sentences, so that it shares none with a test set.
    """
    pairs: Counter[tuple[int, int]] = Counter()
    holders: dict[int, list[int]] = {}
    for place, part in enumerate(parts):
        for sentence in dict.fromkeys(part.hashes):
            holding = holders.setdefault(sentence, [])
            pairs.update((first, place) for first in holding)
            holding.append(place)
    for (first, second), number in sorted(pairs.items()):
        if tests_left_out and {parts[first].split, parts[second].split} == {"train", "test"}:
            continue
        if line := _line(parts[first], parts[second], number):
            yield line


def _line(one: Part, two: Part, number: int) -> str:
    """Return the line on the distinct sentences that two splits share; nothing for a few in two languages."""
    if one.split == two.split:  # of two languages: nobody is scored on what was trained on
        return ""
    sizes = len(set(one.hashes)), len(set(two.hashes))
    share = number / min(sizes)
    if one.language != two.language and share < MIN_SHARE:
        return ""
    common = set(one.hashes) & set(two.hashes)
    places = " = ".join(_first(part, common) for part in (one, two))
    if number == sizes[0] == sizes[1]:
        what = f"are the same {count(number, 'distinct sentence')}"
    else:
        what = f"share {count(number, 'distinct sentence')}, of {sizes[0]:,} and {sizes[1]:,}"
    level = "warning" if share >= MIN_SHARE else "note"
    return f"{level}: {one.name} and {two.name} {what} (first: {places})"


def _first(part: Part, common: set[int]) -> str:
    return part.where(next(place for place, sentence in enumerate(part.hashes) if sentence in common))
