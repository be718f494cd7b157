"""Warnings about a file that was read without an error, but probably not as it was meant."""

from __future__ import annotations

import logging
import re
from itertools import accumulate, chain, groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING

from tagdistill.data.labels import OUTSIDE
from tagdistill.data.readers.notes import LONG, LONG_SENTENCE, LOST, NULS, Notes, note_lines
from tagdistill.data.readers.options import as_options
from tagdistill.errors import DataError
from tagdistill.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.data.convert_labels import Converted
    from tagdistill.data.readers.lines import Sentence

log = logging.getLogger(__name__)
NUMBER = re.compile(r"[+-]?\d+(?:[.,:-]\d+)*\Z")
TAG = re.compile(r"O|[BIESLUMW]-\S+")
CELL = re.compile(r'"(?:[^"]|"")+"\Z')  # as Excel and csv write a cell that holds a separator or a quote
MIN_WORDS, MAX_WORDS = 20, 10_000  # fewer are too few to judge by, more are not looked at
MIN_SHARE = 0.95  # of numbers, or of words that one sentence holds
MANY = 0.5  # of tokens, sentences or spans
STARTS = ("B", "S")  # of the labels with which spans start
MIN_SPANS = 5  # fewer are too few to judge a scheme by
MIN_WHOLE = 100  # words of a sentence that is nearly the whole file
MAX_SENTENCES = 1000  # that are looked at for how they begin and end
MIN_MARKUP = 0.05  # of lines that begin as markup does
MIN_COMMENTS = 3  # sentences that begin as comments do
MIN_CELLS = 3  # tokens between quotes
HEADERS = frozenset(("token", "tokens", "word", "words", "form"))


def note_long(sentences: Sequence[Sentence], notes: Notes) -> None:
    """Note sentences that are too long."""
    for sentence in sentences:
        if len(sentence.tokens) > LONG_SENTENCE:
            notes.add(LONG, sentence.where(""), f"{len(sentence.tokens):,} words")


def file_warnings(sentences: Sequence[Sentence], notes: Notes, kind: str) -> list[str]:
    """Return signs that a file of the format `kind` was misread, as warnings to be written after its name."""
    first = sentences[:MAX_SENTENCES]
    words = list(islice(chain.from_iterable(sentence.tokens for sentence in first), MAX_WORDS))
    found = [*_length(sentences, notes, kind), *_characters(words, notes)]
    found += _lines_of_text(first) if kind == "text" else _heads(first)
    if len(words) >= MIN_WORDS and sum(bool(NUMBER.match(word)) for word in words) >= MIN_SHARE * len(words):
        found.append(
            f"nearly all words are numbers ({_shown(words)} ...). If the token is in another column, say "
            "which, counted from 0: `columns: {token: 1, tag: -1}`."
        )
    return found


def log_notes(sentences: Sequence[Sentence], notes: Notes, kind: str, name: str, more: Sequence[str] = ()) -> None:
    """Log what the reader noted about a file that a command was given, and the warnings about it."""
    for line in note_lines(notes.record(name)):
        log.info("note: %s", line)
    for warning in (*file_warnings(sentences, notes, kind), *more):
        log.warning("warning: %s: %s", name, as_options(warning))


def _length(sentences: Sequence[Sentence], notes: Notes, kind: str) -> Iterator[str]:
    missing = "line ends" if kind in ("text", "jsonl") else "empty lines"
    lengths = [len(sentence.tokens) for sentence in sentences]
    longest = max(lengths)
    if long := notes.count(LONG):
        what = f"{long:,} of more than {LONG_SENTENCE:,} words, the longest has {longest:,}"
        yield f"sentences are hardly so long: {what}. Are {missing} between sentences missing?"
    elif longest > MIN_WHOLE and longest >= MIN_SHARE * sum(lengths):
        yield f"one sentence of {longest:,} words is nearly all of it. Are {missing} between sentences missing?"


def _characters(words: Sequence[str], notes: Notes) -> Iterator[str]:
    if nuls := notes.count(NULS):
        yield f"it holds the character NUL {nuls:,} times: is it damaged, or in another encoding?"
    for sign, name, key in (("\t", "a TAB", "tab"), (" ", "a space", "space")):
        holding = [word for word in words if sign in word.strip()]
        if len(holding) > MANY * len(words):
            yield (
                f"most tokens hold {name} ({holding[0]!r}). If that separates the columns, set `separator: {key}`, or "
                "`separator: auto` where the files of the splits differ."
            )
    yield from _cells(words)


def _cells(words: Sequence[str]) -> Iterator[str]:
    """Yield the warning about tokens that are cells of a table: no quote is without its partner then."""
    cells = [word for word in words if '"' in word]
    needed = [word for word in cells if set(word[1:-1]) & set(',;"')]
    many = len(needed) >= MIN_CELLS or len(cells) >= max(MIN_CELLS, MANY * len(words))
    if many and all(map(CELL.match, cells)):
        what = f"{len(cells):,} tokens stand between quotes, as Excel and csv write cells ({_shown(needed or cells)})"
        yield f"{what}: they are read as they stand. docs/guide/formats.md has a recipe that leaves the quotes out."


def _lines_of_text(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Yield the warnings about lines that may be records, markup, or words with tags."""
    for sign, what in (("{", "JSON (`format: jsonl`)"), ("<", "markup")):
        marked = sum(sentence.tokens[0].startswith(sign) for sentence in sentences)
        if marked >= max(1, MIN_MARKUP * len(sentences)):
            yield f"{marked:,} of the first lines begin with `{sign}`, as {what} does: it is read as words."
    tagged = sum(len(x.tokens) > 1 and bool(TAG.fullmatch(x.tokens[-1])) for x in sentences)
    if len(sentences) >= MIN_WORDS and tagged >= MIN_SHARE * len(sentences):
        yield "each line ends with a tag, which is read as a word. Is it `format: conll`?"


def _heads(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Yield the warnings about first tokens that may be comments, or the names of columns."""
    comments = sum(sentence.tokens[0] == "#" and len(sentence.tokens) > 1 for sentence in sentences)
    if comments >= max(MIN_COMMENTS, MANY * len(sentences)):
        yield f"{comments:,} sentences begin with `#`. If these are comments, `comment: '#'` leaves them out."
    top = sentences[0]
    once = sum((sentence.tags or []).count(top.tags[0]) for sentence in sentences) == 1 if top.tags else True
    if top.line == 1 and once and top.tokens[0].casefold() in HEADERS:
        yield f"its first token is {top.tokens[0]!r}. If the line names the columns, `skip_lines: 1` leaves it out."


def _shown(words: Sequence[str]) -> str:
    return printable(" ".join(words[:6]), keep="")


def check_spans(found: Converted, split: str, where: str, notes: Notes) -> list[str]:
    """Return a warning about labelled text of some length without a span, or whose spans mostly start badly.

    Raises DataError where text without a span is to be trained on.
    """
    words = sum(map(len, found.labels))
    if words < MIN_WORDS:
        return []
    if spans := sum(label[:1] in STARTS for row in found.labels for label in row):
        return _badly_started(found, spans)
    what = f"no span in {words:,} words: every tag is O"
    lost = "; ".join(line for line in note_lines(notes.record(where)) if line.startswith(LOST))
    hint = "Is the tag in another column (`columns: {token: 0, tag: 1}`), or does `label_map:` rename all types to O?"
    if split == "train":
        raise DataError(what, where=where, hint=f"It has {lost}." if lost else hint)
    return [f"{what}. {hint}"]


def _badly_started(found: Converted, spans: int) -> list[str]:
    """Return the warning; spans that the label map leaves out say nothing, and each span counts once."""
    badly = 0
    for number, repaired in groupby(found.repaired, itemgetter(0)):
        row = found.labels[number]
        span = list(accumulate(label[:1] in STARTS for label in row))  # the number of each label's span
        badly += len({span[place] for _, place in repaired if row[place] != OUTSIDE})
    if spans < MIN_SPANS or badly <= MANY * spans:
        return []
    what = f"{badly:,} of {spans:,} spans start badly, and were repaired"
    return [f"{what}. Is it in another scheme? Set `scheme:`, such as IOB1, IOB2 or BIOES."]
