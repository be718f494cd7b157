"""Files of predictions: `token gold pred` between TABs, one blank line between sentences, no header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NO_GOLD = "_"  # in the place of gold labels that are not known
UNSAFE = re.compile(r"\s|\\(?=u[0-9a-fA-F]{4})")  # a backslash only where it would read as an escape


def escape(token: str) -> str:
    r"""Write white space in a token as `\u0020` and the like, so that it holds no TAB, blank or line end.

    >>> print(escape("New York"))
    New\u0020York
    """
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", token)


def column_lines(tokens: Sequence[str], gold: Sequence[str], predicted: Sequence[str]) -> str:
    """Return the lines of a sentence. Raises ValueError for unequal lengths."""
    rows = zip(tokens, gold, predicted, strict=True)
    return "".join(f"{escape(token)}\t{true}\t{ours}\n" for token, true, ours in rows)


def write_predictions(
    path: Path,
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
) -> None:
    """Write predictions, complete or not at all.

    Raises ValueError for sentences of unequal length.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for number, sentence in enumerate(zip(tokens, gold, predicted, strict=True)):
            file.write(("\n" if number else "") + column_lines(*sentence))
