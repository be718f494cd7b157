"""Files of predictions: `token gold pred` between TABs, one blank line between sentences, no header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import atomic_path
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NO_GOLD = "_"  # the gold column of text without labels
UNSAFE = re.compile(r"\s|\\(?=u[0-9a-fA-F]{4})")  # a backslash only where it would read as an escape
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def escape(token: str) -> str:
    r"""Write white space in a token as `\u0020` and the like, so that it holds no TAB, blank or line end."""
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", token)


def unescape(text: str) -> str:
    """Return the token that `escape` wrote."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def write_predictions(
    path: Path,
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]] | None,
    predicted: Sequence[Sequence[str]],
) -> None:
    """Write predictions, complete or not at all; `gold` is None for text without labels, written as `_`."""
    marks = [[NO_GOLD] * len(sentence) for sentence in tokens] if gold is None else gold
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for number, sentence in enumerate(zip(tokens, marks, predicted, strict=True)):
            lines = (f"{escape(token)}\t{true}\t{ours}\n" for token, true, ours in zip(*sentence, strict=True))
            file.write(("\n" if number else "") + "".join(lines))


def read_predictions(path: Path) -> tuple[list[list[str]], list[list[str]] | None, list[list[str]]]:
    """Return tokens, gold labels (None where the text has none) and predicted labels.

    Raises DataError with file and line for a line without three columns.
    """
    tokens: list[list[str]] = []
    gold: list[list[str]] = []
    predicted: list[list[str]] = []
    for sentence in _sentences(path):
        columns = [list(column) for column in zip(*sentence, strict=True)]
        tokens.append([unescape(token) for token in columns[0]])
        gold.append(columns[1])
        predicted.append(columns[2])
    unlabelled = all(mark == NO_GOLD for sentence in gold for mark in sentence)
    return tokens, None if gold and unlabelled else gold, predicted


def _sentences(path: Path) -> Iterator[list[list[str]]]:
    rows: list[list[str]] = []
    for number, line in enumerate(_lines(path), start=1):
        row = line.split("\t")
        if line and (len(row) != 3 or not row[1] or not row[2]):
            raise DataError(
                f"expected `token gold pred` between TABs, found {line[:80]!r}",
                where=f"{path}:{number}",
                hint=r"White space inside a token is written as \u0020; a missing gold label as _.",
            )
        if line:
            rows.append(row)
        elif rows:
            yield rows
            rows = []
    if rows:
        yield rows


def _lines(path: Path) -> list[str]:
    # Not splitlines: it also breaks at characters such as U+2028 and U+0085.
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise DataError("no such file of predictions", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"not readable as UTF-8 text: {error}", where=str(path)) from error
    return [line.removesuffix("\r") for line in text.split("\n")]
