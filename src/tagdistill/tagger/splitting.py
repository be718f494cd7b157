"""Sentences and words of raw text, with their offsets, for any language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal, get_args

from tagdistill.data.readers.lines import lone_surrogate
from tagdistill.errors import DataError, missing_package, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from icu4py.breakers import WordBreaker
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

Words = Literal["punctuation", "inner_punctuation"]
Unspaced = Literal["characters", "pieces", "icu"]
Offsets = tuple[int, int]  # of characters, end exclusive

# Scripts that write no blanks between words; the signs beside them belong to several scripts.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー々〆\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
CLOSING = r"[\"'”’»›)\]]*+"
SMALL = r"[\p{Ll}&&[^\p{Georgian}]]"  # Georgian's letters are small ones to Unicode: it has no capitals in use
TITLE = r"(?<!\b\p{Lu})(?<!\b\p{Lu}\p{Ll})(?<!\b\p{Lu}\p{Ll}{2})"
# A full stop ends no sentence after a short capitalised word (Dr., U.S.), nor before a small letter. Each run of marks
# or blanks is tried from its start only, and as a whole: a text of nothing else takes no longer than another.
SENTENCE_ENDS = (
    r"[\r\n\x{85}\x{2028}\x{2029}]\s*+",
    rf"(?<![.…])(?:{TITLE}[.…]|[.…][.…]++)(?![.…]){CLOSING}\s++(?!{SMALL})",
    rf"(?<![!?؟])[!?؟]++{CLOSING}\s++(?!{SMALL})",
    r"[。｡！？।॥۔።។]++[”’」』）]*+\s*+",
)
# A mark between two letters or digits, as in `don't`, `3.5` and `e-mail`, is no mark of its own.
MARK = r"[^\p{L}\p{M}\p{N}\s]"
INNER_MARK = rf"(?<=[\p{{L}}\p{{M}}\p{{N}}]){MARK}(?=[\p{{L}}\p{{N}}])"
BLOCK = 100_000  # characters that are read at a time: memory is bounded, and no sentence is longer
GIVEN = "given"  # how text is split whose words are given


@dataclass(frozen=True)
class Splitter:
    """How text is split: `words` says which punctuation is a word, `unspaced` how scripts without blanks are cut.

    `punctuation`: every mark is a word; `inner_punctuation`: but one between two letters or digits is part of theirs.
    `characters`: each character is a word, with the signs on it; `pieces`: each piece of the encoder's tokenizer is;
    `icu`: words are those of the dictionaries of ICU (International Components for Unicode).
    """

    words: Words = "inner_punctuation"
    unspaced: Unspaced = "characters"
    tokenizer: Tokenizer | None = None  # needed for `pieces`

    @classmethod
    def named(cls, words: str, unspaced: str, tokenizer: Tokenizer, where: str) -> Splitter:
        """Return the splitter of two names. Raises DataError for `where` if one is not known."""
        for name, known in ((words, get_args(Words)), (unspaced, get_args(Unspaced))):
            if name not in known:
                raise DataError(f"cannot split text by {name!r}", where=where, hint=nearest(name, known))
        return cls(words, unspaced, tokenizer)  # type: ignore[arg-type]  # both are known names here

    @property
    def name(self) -> str:
        """Both ways in one word, as results say it."""
        return f"{self.words}+{self.unspaced}"

    def sentences(self, text: str) -> Iterator[list[Offsets]]:
        """Yield the words of each sentence that has any, as offsets into the text.

        A sentence ends at a line's end, or at a full stop, a question mark and the like. Raises DataError for a text
        with a lone surrogate, which is no character.
        """
        check_characters(text)
        start = 0
        while start < len(text):
            block = text[start : start + BLOCK]
            begins = [begin for _, (begin, _) in _sentence_splitter().pre_tokenize_str(block)]
            end = len(block)
            if start + end < len(text):  # the last sentence may go on: it is read again, with what follows
                end = begins[-1] or block.rfind(" ") + 1 or end
            for first, last in pairwise([*(begin for begin in begins if begin < end), end]):
                offset, words = start + first, self._words(block[first:last])
                if found := [(offset + left, offset + right) for left, right in words]:
                    yield found
            start += end

    def _words(self, sentence: str) -> Iterator[Offsets]:
        """Yield the words of a sentence, as offsets into it."""
        for part, (start, end) in self._word_splitter.pre_tokenize_str(sentence):
            if self.unspaced != "characters" and _is_unspaced(part):
                cuts = self._cuts(part)
                yield from ((start + left, start + right) for left, right in pairwise(cuts))
            elif end > start:
                yield start, end

    def _cuts(self, run: str) -> list[int]:
        """Return where the words of a run of scripts without blanks begin, and its end."""
        if self.unspaced == "icu":
            return [0, *accumulate(map(len, _icu_words(run)))]
        assert self.tokenizer is not None
        encoding = self.tokenizer.encode(run, add_special_tokens=False)
        return sorted({0, len(run), *(start for start, end in encoding.offsets if end > start)})

    @cached_property
    def _word_splitter(self) -> PreTokenizer:
        from tokenizers import Regex
        from tokenizers.pre_tokenizers import BertPreTokenizer, Sequence, Split, WhitespaceSplit

        repeated = r"\p{M}*" if self.unspaced == "characters" else "+"
        controls = Split(Regex(r"\p{Cc}+"), "removed")  # NUL and its like: as blanks are
        unspaced = Split(Regex(rf"[{UNSPACED}]{repeated}"), "isolated")
        if self.words == "punctuation":
            return Sequence([controls, unspaced, BertPreTokenizer()])
        marks = Split(Regex(rf"(?!{INNER_MARK}){MARK}"), "isolated")
        return Sequence([controls, unspaced, WhitespaceSplit(), marks])


def check_characters(text: str) -> None:
    """Refuse a text with a lone surrogate: it is no character, and no encoding has it."""
    if (place := lone_surrogate(text)) is not None:
        hint = "Read the text with the right encoding, or with errors='replace'."
        raise DataError(f"U+{ord(text[place]):04X} is no character", where=f"character {place}", hint=hint)


def choose_splitter(
    sentences: Sequence[Sequence[str]], tokenizer: Tokenizer, unspaced: Unspaced | None = None
) -> Splitter:
    """Return the splitter that keeps most words of a text whole; of equals the first.

    `unspaced` is how scripts without blanks are cut; None: as characters or as pieces, whichever keeps more. Raises
    TagdistillError where it is icu, and ICU is not installed.
    """
    if unspaced == "icu":
        _icu_breaker("export.unspaced")
    ways: tuple[Unspaced, ...] = (unspaced,) if unspaced else ("characters", "pieces")
    splitters = [Splitter(words, way, tokenizer) for way in ways for words in get_args(Words)]
    return max(splitters, key=lambda splitter: kept_whole(splitter, sentences))


def kept_whole(splitter: Splitter, sentences: Iterable[Sequence[str]]) -> float:
    """Return the share of words that a splitter finds in their sentences, written as text; 1 of none."""
    kept = total = 0
    for sentence in sentences:
        text, words = as_written(sentence)
        kept += len(set(words).intersection(splitter._words(text)))
        total += len(words)
    return kept / total if total else 1.0


def as_written(words: Sequence[str]) -> tuple[str, list[Offsets]]:
    """Return words as text, and their offsets: no blank stands between two of scripts that write none."""
    text, offsets = "", []
    for word in words:
        if text and not (_is_unspaced(text[-1]) and _is_unspaced(word[:1])):
            text += " "
        offsets.append((len(text), len(text) + len(word)))
        text += word
    return text, offsets


@cache
def _icu_breaker(where: str) -> type[WordBreaker]:
    try:
        from icu4py.breakers import WordBreaker
    except ModuleNotFoundError as error:
        raise missing_package(error, where=where) from error
    return WordBreaker


def _icu_words(run: str) -> Iterator[str]:
    """Yield the words of a run, which are all of it. Raises TagdistillError where ICU is not installed."""
    return iter(_icu_breaker("text of a script without blanks")(run, "und"))


@cache
def _sentence_splitter() -> PreTokenizer:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    return Split(Regex("|".join(SENTENCE_ENDS)), "merged_with_previous")


@cache
def _unspaced_run() -> PreTokenizer:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    return Split(Regex(rf"[{UNSPACED}]+"), "removed")


def _is_unspaced(word: str) -> bool:
    """Return whether a word is written in scripts without blanks only."""
    return not word.isascii() and not _unspaced_run().pre_tokenize_str(word)
