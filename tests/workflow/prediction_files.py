"""Read files of predictions back, as a program of a user would by their documentation."""

from __future__ import annotations

import re
from pathlib import Path

Rows = list[list[str]]


def unescape(text: str) -> str:
    """Return the token that `tagdistill.evaluation.predictions.escape` wrote."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def read_predictions(path: Path) -> tuple[Rows, Rows | None, Rows]:
    """Return tokens, gold labels (None where the text has none) and predicted labels, one list per sentence."""
    text = path.read_bytes().decode("utf-8")  # not splitlines, which also breaks at characters such as U+2028
    assert text.endswith("\n") and "\n\n\n" not in text
    sentences = [[line.split("\t") for line in part.split("\n")] for part in text[:-1].split("\n\n")]
    tokens, gold, predicted = ([[row[place] for row in sentence] for sentence in sentences] for place in range(3))
    assert all(len(row) == 3 and all(row) for sentence in sentences for row in sentence)
    unlabelled = {mark for sentence in gold for mark in sentence} == {"_"}
    return [[unescape(token) for token in sentence] for sentence in tokens], None if unlabelled else gold, predicted
