"""Notes of a reader: what it left out, repaired or found odd in a file, each kind with its count and first places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tagdistill.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_PLACES = 5  # that are named; the rest are counted
MAX_DETAIL = 60  # characters of what stands there
LONG_SENTENCE = 1000  # words

BYTE_ORDER_MARKS = "byte order marks left out"
COMMENTS = "comment lines left out"
DOCUMENT_BORDERS = "-DOCSTART- lines read as borders of documents"
SKIPPED_LINES = "first lines skipped"
BROKEN = "broken sentences left out"
EMPTY_ROWS = "empty rows left out"
REPAIRED = "badly started spans repaired"
UNWANTED = 'tags of other types, which "*" of the label map renames'
LONG = f"sentences of more than {LONG_SENTENCE:,} words"
TABS_IN_TOKENS = "tokens that hold a TAB"
LOST = "targets lost"  # how the kinds of lost targets begin
IN_TESTS = "sentences of test sets left out"
NOT_LABELLED = "tasks left out that nobody has labelled"
NULS = "lines or rows that hold the character NUL"


@dataclass
class Note:
    """How often something occurred, and where first: `:12: 'I-PER' after 'O'`, to be written after the file's name."""

    count: int = 0
    places: list[str] = field(default_factory=list)


@dataclass
class Notes:
    """The notes of one file, by kind, such as `comment lines left out`."""

    kinds: dict[str, Note] = field(default_factory=dict)

    def add(self, kind: str, place: str = "", detail: str = "") -> None:
        """Count one more of a kind. `place` follows the name of the file, `detail` says what stands there."""
        note = self.kinds.setdefault(kind, Note())
        note.count += 1
        if place and len(note.places) < MAX_PLACES:
            shown = printable(detail, keep="")
            shown = shown if len(shown) <= MAX_DETAIL else f"{shown[: MAX_DETAIL - 3]}..."
            note.places.append(f"{place}: {shown}" if shown else place)

    def count(self, kind: str) -> int:
        """Return how often a kind was noted."""
        return self.kinds[kind].count if kind in self.kinds else 0

    def counts(self) -> dict[str, int]:
        """Return the count of each kind."""
        return {kind: note.count for kind, note in self.kinds.items()}

    def clear(self) -> None:
        """Forget all: they were about sentences that `take` leaves out."""
        self.kinds.clear()

    def record(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the notes as JSON holds them, sorted; `name` is the file's in its places."""
        return {
            kind: {"count": note.count, "places": [f"{name}{place}" for place in note.places]}
            for kind, note in sorted(self.kinds.items())
        }


def note_lines(record: Mapping[str, Mapping[str, Any]], *, places: int = 3) -> Iterator[str]:
    """Yield one line for people per kind of note: its count and the first places."""
    for kind, note in record.items():
        first = note["places"][:places]
        more = ", ..." if note["count"] > len(first) and first else ""
        where = f" ({'; '.join(first)}{more})" if first else ""
        yield printable(f"{kind}: {note['count']:,}{where}", keep="")
