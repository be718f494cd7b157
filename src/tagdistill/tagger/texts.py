"""What can be given to a tagger, as words with offsets: raw text, or sentences that are split already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagdistill.errors import DataError
from tagdistill.tagger.splitting import GIVEN, check_characters

if TYPE_CHECKING:
    from tagdistill.tagger.splitting import Offsets, Splitter

# The encoder reads longer sentences in parts, and of longer words the beginning (a window holds no more): memory is
# bounded, whatever the text.
PART_WORDS, PART_CHARACTERS, LONGEST_WORD = 1000, 8000, 4000


@dataclass(frozen=True)
class Text:
    """A text and the words of each of its sentences, as offsets; no sentence is empty.

    `split` says how it was split: by a `Splitter`, which has a name, or `given`.
    """

    text: str
    sentences: tuple[tuple[Offsets, ...], ...]
    split: str = GIVEN

    @property
    def words(self) -> tuple[Offsets, ...]:
        """The words of all sentences."""
        return tuple(word for sentence in self.sentences for word in sentence)

    @property
    def size(self) -> int:
        """The number of words."""
        return sum(map(len, self.sentences))

    def parts(self) -> Iterator[list[list[str]]]:
        """Yield the parts of each sentence, as strings; of long words their beginnings."""
        for sentence in self.sentences:
            words = [self.text[start : min(end, start + LONGEST_WORD)] for start, end in sentence]
            yield list(_parts(words))


Input = str | Sequence[str] | Text


def as_text(given: object, splitter: Splitter, where: str) -> Text:
    """Return a string, split, a list of words as one sentence, or a `Text` as it is.

    Raises DataError for `where` if it is none of these, and for a `Text` whose words are not parts of it, in order.
    """
    try:
        if isinstance(given, Text):
            return _checked(given)
        if isinstance(given, str):
            return Text(given, tuple(map(tuple, splitter.sentences(given))), splitter.name)
        return _of_words(given)
    except DataError as error:
        raise error.at(f"{where}, {error.where}" if error.where else where) from error


def _checked(text: Text) -> Text:
    check_characters(text.text)
    if not all(text.sentences):
        raise DataError("a sentence has no words", hint="Leave it out.")
    before = 0
    for place, (start, end) in enumerate(text.words):
        if not before <= start < end <= len(text.text):
            hint = f"Offsets count characters, not bytes: they rise, up to {len(text.text)}, and no word is empty."
            raise DataError(f"the offsets {start} to {end} are no word of the text", where=f"word {place}", hint=hint)
        before = end
    return text


def _of_words(given: object) -> Text:
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, bytes) else [given]
    words: list[str] = []
    offsets, at = [], 0
    for place, word in enumerate(listed):
        if not isinstance(word, str) or not word:
            hint = "Give a string, or a list of words that are not empty."
            raise DataError(f"{word!r} is no word", where=f"word {place}", hint=hint)
        check_characters(word)
        words.append(word)
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    return Text(" ".join(words), (tuple(offsets),) if offsets else ())


def _parts(words: list[str]) -> Iterator[list[str]]:
    begin, characters = 0, 0
    for place, word in enumerate(words):
        if place - begin == PART_WORDS or (place > begin and characters + len(word) > PART_CHARACTERS):
            yield words[begin:place]
            begin, characters = place, 0
        characters += len(word)
    yield words[begin:]
