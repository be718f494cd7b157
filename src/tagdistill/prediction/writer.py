"""The interface of what writes labelled text. Each format is a module of `writers/`, loaded by its name."""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, cast

from tagdistill.artifacts.streams import is_stream
from tagdistill.settings.names import WRITERS, module_of, names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tagdistill.data.readers.format import Given
    from tagdistill.prediction.source import Source
    from tagdistill.tagger.results import Tagged

USUAL = "conll"
LEVEL = 6  # of compression: 9 takes twice as long for one part in a hundred


class Job(NamedTuple):
    """What a writer knows beforehand."""

    sink: BinaryIO
    task: str
    labels: tuple[str, ...]
    source: Source  # what is read
    format: str  # of what is read
    encoding: str  # of what is read
    title: str


class Writer(Protocol):
    """A file that is being written."""

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write a labelled text."""


class WriterFormat(NamedTuple):
    """One way to write labelled text."""

    # Writes what follows the last text where no error ended the block; raises ConfigError for labels it cannot write.
    open: Callable[[Job], AbstractContextManager[Writer]]
    endings: tuple[str, ...]  # of file names, by which the format is known
    copies: tuple[str, ...] = ()  # formats of which it repeats the lines that it reads
    streams: bool = True  # whether what is written so far can be read already


def load_writer(name: str) -> WriterFormat:
    """Return a format by its name."""
    return cast("WriterFormat", import_module(module_of(WRITERS, name)).WRITER)


def writer_by_ending(output: Path) -> str:
    """Return the name of the format that a file's ending stands for, before .gz; `conll` for any other."""
    known = {ending: name for name in names_in(WRITERS) for ending in load_writer(name).endings}
    plain = output.with_suffix("") if _is_compressed(output) else output
    return known.get(plain.suffix.lower(), USUAL)


def _is_compressed(output: Path) -> bool:
    return output.suffix.lower() == ".gz"


class _Whole(gzip.GzipFile):
    """A compressed file that nobody reads before its end: equal content is equal bytes, whenever it was flushed."""

    def flush(self, zlib_mode: int = 0) -> None:
        """Leave what was written for later."""


@contextmanager
def packed(sink: BinaryIO, output: Path) -> Iterator[BinaryIO]:
    """Yield what to write into so that `sink` gets it compressed, without name and time, if the output ends in .gz."""
    if not _is_compressed(output):
        yield sink
        return
    kind = gzip.GzipFile if is_stream(output) else _Whole
    with kind("", "wb", LEVEL, sink, mtime=0) as content:
        yield cast("BinaryIO", content)
