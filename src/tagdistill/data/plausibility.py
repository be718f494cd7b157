"""Warnings of a file that was read without an error, but hardly as it was meant."""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NUMBER = re.compile(r"[+-]?\d+(?:[.,:-]\d+)*\Z")
MIN_WORDS, MAX_WORDS = 20, 10_000  # fewer are too few to judge by, more are not looked at
MIN_SHARE = 0.95  # of numbers, to be suspicious


def warnings(tokens: Iterable[Sequence[str]], name: str) -> list[str]:
    """Return the warnings of the file `name`: nearly all of its words are numbers."""
    words = list(islice(chain.from_iterable(tokens), MAX_WORDS))
    if len(words) < MIN_WORDS or sum(bool(NUMBER.match(word)) for word in words) < MIN_SHARE * len(words):
        return []
    return [
        f"{name}: nearly all words are numbers ({' '.join(words[:6])} ...). If the token is in another column, say "
        "which, counted from 0: `columns: {token: 1, tag: -1}`."
    ]
