"""Rows that hold the tokens of a sentence and their tags, as names or as numbers of classes: Parquet and JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.data.readers.lines import Sentence, lone_surrogate
from tagdistill.data.readers.notes import EMPTY_ROWS, NULS
from tagdistill.errors import DataError, ReadingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.data.readers.format import RawFile

TOKENS = ("tokens", "words", "form")
TAGS = ("labels", "tags", "ner_tags", "upos", "pos_tags")
IDS = ("id", "source_id", "sent_id")
SENTENCES = "sentences"


def asked_or_usual(asked: int | str | None, usual: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the name that is asked for, else the usual names that are there. Numbers are for columns of text."""
    return [asked] if isinstance(asked, str) else [name for name in usual if name in known]


def sentence_of(
    tokens: Any, tags: Any, names: Sequence[str], file: RawFile, place: int | str, source_id: str = ""
) -> Sentence | None:
    """Return the sentence of a row, or None for an empty row, which is noted. `tags` is None where none are read.

    Raises DataError where a token or tag is empty, no text, or missing.
    """
    if not tokens and not tags:
        file.note(EMPTY_ROWS, place)
        return None
    where = file.at(place)
    if not isinstance(tokens, list) or not tokens or (together := _joined(tokens)) is None:
        raise DataError("no token, or an empty one", where=where)
    if "\0" in together:
        file.note(NULS, place)
    check_characters(together, where)
    if tags is None:
        return Sentence(tokens, None, [], source_id)
    if not isinstance(tags, list) or len(tags) != len(tokens):
        found = len(tags) if isinstance(tags, list) else 0
        raise DataError(f"{found} labels for {len(tokens)} tokens", where=where)
    return Sentence(tokens, tags if _joined(tags) is not None else _named(tags, names, file, where), [], source_id)


def bounds_of(found: Any, size: int) -> tuple[tuple[int, int], ...]:
    """Return first word and word after the last of a row's sentences, as `tagdistill predict` writes them.

    Nothing where they are not told, or are something else than parts that cover the row: then it is one sentence.
    """
    try:
        bounds = tuple((first, end) for first, end in found)
    except (TypeError, ValueError):
        return ()
    numbers = all(isinstance(number, int) for pair in bounds for number in pair)
    whole = [0, *(end for _, end in bounds)] == [*(first for first, _ in bounds), size]
    return bounds if numbers and whole and all(first < end for first, end in bounds) else ()


def parted(sentence: Sentence | None, found: Any) -> Iterator[Sentence]:
    """Yield the sentences of a row, which are one unless `bounds_of` finds several."""
    if sentence is None:
        return
    tokens, tags = sentence.tokens, sentence.tags
    for first, end in bounds_of(found, len(tokens)) or ((0, len(tokens)),):
        yield sentence._replace(tokens=tokens[first:end], tags=None if tags is None else tags[first:end])


def check_characters(text: str, where: str) -> None:
    """Refuse a text, or tokens joined, with a lone surrogate."""
    if not text.isascii() and lone_surrogate(text) is not None:
        raise DataError("half of a character (a lone surrogate) in a token", where=where)


def _joined(cells: list[Any]) -> str | None:
    """Return texts as one; None where one of them is empty or no text."""
    try:
        return "".join(cells) if all(cells) else None
    except TypeError:
        return None


def _named(tags: list[Any], names: Sequence[str], file: RawFile, where: str) -> list[str]:
    """Return class numbers by their names."""
    numbers = [tag for tag in tags if isinstance(tag, int) and not isinstance(tag, bool)]
    if len(numbers) < len(tags):
        raise DataError("an empty label, or one that is neither text nor a class number", where=where)
    if not names:
        hint = "Give their names in order: `names: [O, B-PER, ...]`."
        raise ReadingError("labels are class numbers, and nothing names the classes", where=where, hint=hint)
    if wrong := [tag for tag in tags if not 0 <= tag < len(names)]:
        raise _unnamed(wrong, names, file, where)
    return [names[tag] for tag in tags]


def _unnamed(wrong: list[int], names: Sequence[str], file: RawFile, where: str) -> DataError:
    """Return the error for classes without a name: of the setting, unless the file has its own or no list could do."""
    what = f"class {wrong[0]}, but {len(names)} are named"
    if min(wrong) < 0 or names != file.settings.names:
        return DataError(what, where=where)
    hint = f"`names:` must list all classes in order, from 0 to {max(wrong)} at least."
    return ReadingError(what, where=where, hint=hint)
