"""Streams in the place of files: `-` is stdin or stdout, and devices and pipes are read and written through."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = Path("-")  # stdin or stdout
STDOUT = Path("/dev/stdout")
CLOSED: set[str] = set()  # standard streams that were closed when this process began
DESCRIPTORS = ("/dev/std", "/dev/fd/", "/proc/")  # what is open already, which may be a file that grows


def open_streams() -> None:
    """Put /dev/null in the place of standard streams that are closed, so that no other file gets their numbers.

    Nor does one in a process that is started from here.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            CLOSED.add(name)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 (they stay open)


def check_open(path: Path) -> None:
    """Refuse to write to stdout where it is closed: it would lead nowhere."""
    if path in (STANDARD, STDOUT) and "stdout" in CLOSED:
        raise TagdistillError("is closed", where="stdout", hint="Name a file to write to, or open it.")


def is_stream(path: Path) -> bool:
    """Return whether a path is `-`, or a device, FIFO or the like: its bytes are written through, never replaced."""
    if path == STANDARD or str(path).startswith(DESCRIPTORS):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def streaming(path: Path) -> Iterator[Path]:
    """Yield a temporary file whose bytes go to stdout (for `-`), a device or a FIFO after the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        temporary = Path(scratch) / "output"
        yield temporary
        if temporary.is_dir():
            raise TagdistillError("a folder cannot be written to a stream or a device", where=str(path))
        with temporary.open("rb") as source, written_through(path) as sink:
            shutil.copyfileobj(source, sink)


@contextmanager
def written_through(path: Path) -> Iterator[BinaryIO]:
    """Yield stdout (for `-`), a device or a FIFO to write into at once."""
    if path in (STANDARD, STDOUT):
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with path.open("ab") as sink:  # `>> FILE` may be behind it
            yield sink


@contextmanager
def given_file(path: Path) -> Iterator[Path]:
    """Yield a file that can be read more than once: `path`, or a copy of what stdin (`-`) or a pipe gives.

    Errors name stdin, or the pipe, in place of the copy.
    """
    if not is_stream(path):
        yield path
        return
    name = "stdin" if path == STANDARD else str(path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        copy = Path(scratch) / "input"
        with copy.open("wb") as sink:
            if path == STANDARD:
                shutil.copyfileobj(sys.stdin.buffer, sink)
            else:
                with path.open("rb") as source:
                    shutil.copyfileobj(source, sink)
        try:
            yield copy
        except TagdistillError as error:
            raise error.at((error.where or name).replace(str(copy), name)) from None
