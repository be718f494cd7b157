"""One sentence per line, tokens separated by white space; for `unlabelled`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data.readers.format import Format, Given, RawFile
from tagdistill.data.readers.lines import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield one sentence per line; empty lines are skipped."""
    for number, line in file.lines():
        if tokens := line.split():
            yield Sentence(tokens, None, [number] * len(tokens))


def texts(file: RawFile) -> Iterator[Given]:
    """Yield each line as raw text, also an empty one."""
    for number, line in file.lines():
        yield Given(line, [number])


FORMAT = Format(read, endings=(".txt",), labelled=False, texts=texts)
