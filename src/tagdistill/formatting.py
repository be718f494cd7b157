"""Counts, seconds and bytes as text for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Control characters, which a terminal obeys; separators that it may break a line at; marks that turn the direction of
# what follows; halves of characters, which cannot be written.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, *, keep: str = "\n") -> str:
    r"""Return a text that is safe on a terminal: what it would obey is written as an escape, such as `\x1b`.

    `keep` holds characters that stay: the line ends of our own messages, none of a word of the data.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def count(number: int, noun: str) -> str:
    """Write a number of things: 1 split, 1,234 splits."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int) -> str:
    """Write the first names, and how many there are more: `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def series(names: Sequence[str]) -> str:
    """Write all names.

    >>> series(["a"]), series(["a", "b"]), series(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def probability(p: float) -> str:
    """Write a p: `0.012`, or `< 0.001`."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def duration(seconds: float) -> str:
    """Write seconds as a person would: 42 s, 3 min 5 s, 2 h 10 min."""
    if round(seconds) < 60:
        return f"{seconds:.1f} s" if round(seconds, 1) < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def disk(size: float) -> str:
    """Write bytes as a person would: 3 kB, 12.4 MB, 1.2 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1000:.0f} kB"
