"""What is read while results are written: text that arrives bit by bit, and lines that are to be repeated."""

from __future__ import annotations

import os
import select
import stat
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable


class UnwrittenError(Exception):
    """What is known cannot be written: its cause is an error of the output, not of the file that is read."""


class Source:
    """An open file, FIFO or terminal.

    `wait` is called before reading would wait for more: it is the time to write what is known. With `keep`, what was
    read stays here until `lines` takes it.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self.wait: Callable[[], None] = lambda: None
        self.size = 0  # bytes that were read
        self.kept = bytearray()
        self.number = 0  # of lines that were taken

    def of(self, handle: BinaryIO) -> BinaryIO:
        """Read from a handle."""
        self.handle: Any = handle
        self.waiting = _may_wait(handle)
        return self  # type: ignore[return-value]  # readers of text use `read` alone

    def read(self, size: int = -1) -> bytes:
        """Return some of the bytes that are there, at most `size`; none at the end."""
        if self.waiting and not select.select([self.handle], [], [], 0)[0]:
            self._write_what_is_known()
        data: bytes = getattr(self.handle, "read1", self.handle.read)(size)
        self.size += len(data)
        if self.keep:
            self.kept += data
        return data

    def _write_what_is_known(self) -> None:
        try:
            self.wait()
        except OSError as error:
            raise UnwrittenError from error

    def lines(self, last: int | None = None) -> list[bytes]:
        """Take the kept lines, with their ends, up to the one of the number `last`; None: all."""
        found, begin = [], 0
        while (last is None or self.number < last) and begin < len(self.kept):
            end = self.kept.find(b"\n", begin) + 1 or len(self.kept)
            found.append(bytes(self.kept[begin:end]))
            begin, self.number = end, self.number + 1
        del self.kept[:begin]
        return found


def _may_wait(handle: BinaryIO) -> bool:
    """Return whether reading may wait for somebody who writes."""
    try:
        return not stat.S_ISREG(os.fstat(handle.fileno()).st_mode)
    except (OSError, AttributeError):  # no file of the system
        return False
