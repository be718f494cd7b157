"""Parquet, one sentence per row: a list column of tokens and one of tags, as names or as class numbers.

The names of class numbers are those that the file holds, else those of `names:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data.readers.format import Format, Given, RawFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.data.readers.lines import Sentence


def read(file: RawFile) -> Iterator[Sentence]:
    """Yield the rows; empty ones are left out and noted.

    Raises DataError where the columns are not there, or not of the types that are needed.
    """
    # Not at the top: the endings of all formats are known without pyarrow, which not every installation has.
    from tagdistill.data.readers.parquet_rows import read_rows

    yield from read_rows(file)


def texts(file: RawFile) -> Iterator[Given]:
    """Yield the words of each row, also of an empty one. Raises DataError as `read` does."""
    from tagdistill.data.readers.parquet_rows import read_texts

    yield from read_texts(file)


FORMAT = Format(read, endings=(".parquet",), text=False, texts=texts)
