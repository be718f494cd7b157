"""The interface of a file format. Each format is a module of `formats/`, loaded by its name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from tagdistill.data.readers.lines import Line, Sentence, numbered

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    notes: Counter[str]  # counts what was left out

    def lines(self) -> Iterator[Line]:
        """Yield the numbered lines, decoded as `encoding:` says. Raises DataError for a line that cannot be."""
        return numbered(self.handle, self.where, self.settings.encoding, self.notes)


@dataclass(frozen=True)
class Format:
    """One way to lay out labelled or plain sentences in a file."""

    read: Callable[[RawFile], Iterator[Sentence]]  # raises DataError, with the line, for what the format forbids
    endings: tuple[str, ...] = ()  # of file names, by which a command recognises the format
    archives: tuple[str, ...] = ()  # endings of archives that hold one member per split
    labelled: bool = True  # false: the format holds tokens alone
    separated: bool = False  # whether it reads `separator:`
    tasks: tuple[str, ...] = ()  # those that its labels are for; none: any
    hint: str = ""  # what to do where the task is another
    scheme: Literal["IOB1", "IOB2", "BIOES"] | None = None  # of its spans; None: as `scheme:` says


def load_format(name: str) -> Format:
    """Return a format by its name in a config."""
    return cast("Format", import_module(f"tagdistill.data.readers.formats.{name}").FORMAT)
