"""The interface of a file format. Each format is a module of `formats/`, loaded by its name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from tagdistill.data.readers.lines import Line, Sentence, decoded, plain_line
from tagdistill.data.readers.notes import BROKEN, BYTE_ORDER_MARKS, NULS, SKIPPED_LINES, Notes
from tagdistill.errors import ConfigError, ReadingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tagdistill.errors import DataError
    from tagdistill.settings.language import Language, SplitName


@dataclass(frozen=True)
class RawFile:
    """An open file, and how it is to be read."""

    handle: BinaryIO
    path: Path
    where: str  # its name in errors
    settings: Language
    part: SplitName  # the split of the source that is read
    tagged: bool  # whether labels are read
    notes: Notes  # what was left out, repaired or odd
    member: str = ""  # of an archive, written after the file's name: /train

    def lines(self) -> Iterator[Line]:
        """Yield the numbered lines after `skip_lines:`, decoded as `encoding:` says.

        Raises DataError for a line that cannot be decoded.
        """
        first = 1
        for lines, odd in decoded(self.handle, self.where, self.settings.encoding):
            pairs: Iterator[Line] = enumerate(lines, first)
            yield from self._looked_at(pairs) if odd or first <= self.settings.skip_lines else pairs
            first += len(lines)

    def _looked_at(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Yield the lines that are not skipped, without what belongs to no text; note what is odd."""
        for number, raw in lines:
            line = plain_line(number, raw, self.where)
            if number <= self.settings.skip_lines:
                self.note(SKIPPED_LINES, number, line)
                continue
            if raw.startswith("\ufeff"):
                self.note(BYTE_ORDER_MARKS, number)
            if "\0" in line:
                self.note(NULS, number)
            yield number, line

    def at(self, place: int | str) -> str:
        """Return a line, or a place of other words such as `row 3`, for an error."""
        return f"{self.where}:{place}" if isinstance(place, int) else f"{self.where}: {place}"

    def note(self, kind: str, line: int | str, detail: str = "") -> None:
        """Note something at a line, or at a place of other words."""
        place = f":{line}" if isinstance(line, int) else f": {line}"
        self.notes.add(kind, f"{self.member}{place}", detail)

    def leave_out(self, error: DataError, line: int | str, *, advise: bool = True) -> None:
        """Note that the sentence at a line is left out, as `broken: leave_out` asks; raise the error otherwise.

        `advise`: whether its hint says so, since the line is hardly a sign that the file is read in a wrong way.
        A ReadingError is raised always.
        """
        if isinstance(error, ReadingError):
            raise error
        if self.settings.broken == "refuse":
            advice = "`broken: leave_out` leaves such sentences out." if advise else None
            raise error.at(error.where, hint=" ".join(filter(None, (error.hint, advice))) or None)
        self.note(BROKEN, line, error.what)


class Given(NamedTuple):
    """A text to label, as its file has it: a sentence of words, or raw text."""

    content: list[str] | str
    lines: Sequence[int]  # of each word, or of the text; empty where the format has no lines
    source_id: str = ""
    words: tuple[tuple[int, int], ...] | None = None  # of raw text, where the file says what its words are
    sentences: tuple[tuple[int, int], ...] = ()  # of words: first, and after the last; none: it is one


@dataclass(frozen=True)
class Format:
    """One way to lay out labelled or plain sentences in a file."""

    read: Callable[[RawFile], Iterator[Sentence]]  # raises DataError, with the line, for what the format forbids
    endings: tuple[str, ...] = ()  # of file names, by which a command recognises the format
    archives: tuple[str, ...] = ()  # endings of archives that hold one member per split
    labelled: bool = True  # false: the format holds tokens alone
    text: bool = True  # whether its files are text
    texts: Callable[[RawFile], Iterator[Given]] | None = None  # what there is to label, if it is not the sentences
    tasks: tuple[str, ...] = ()  # those that its labels are for; none: any
    hint: str = ""  # what to do where the task is another


def check_task(name: str, tasks: Sequence[str], task: str, where: str, hint: str = "") -> None:
    """Refuse labels of a format or of built-in data that are for other tasks than the one at hand."""
    if tasks and task not in tasks:
        known = ", ".join(map(repr, tasks))
        raise ConfigError(f"{name} is labelled for the task {known}, not {task!r}", where=where, hint=hint or None)


def load_format(name: str) -> Format:
    """Return a format by its name in a config."""
    return cast("Format", import_module(f"tagdistill.data.readers.formats.{name}").FORMAT)
