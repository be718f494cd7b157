"""Files of predictions: `token gold pred` between TABs, one blank line between sentences, no header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NO_GOLD = "_"  # the gold column of text without labels
UNSAFE = re.compile(r"\s|\\(?=u[0-9a-fA-F]{4})")  # a backslash only where it would read as an escape


def escape(token: str) -> str:
    r"""Write white space in a token as `\u0020` and the like, so that it holds no TAB, blank or line end.

    >>> print(escape("New York"))
    New\u0020York
    """
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", token)


def write_predictions(
    path: Path,
    tokens: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]] | None,
    predicted: Sequence[Sequence[str]],
) -> None:
    """Write predictions, complete or not at all; `gold` is None for text without labels, written as `_`.

    Raises ValueError for sentences of unequal length.
    """
    marks = [[NO_GOLD] * len(sentence) for sentence in tokens] if gold is None else gold
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for number, sentence in enumerate(zip(tokens, marks, predicted, strict=True)):
            lines = (f"{escape(token)}\t{true}\t{ours}\n" for token, true, ours in zip(*sentence, strict=True))
            file.write(("\n" if number else "") + "".join(lines))
