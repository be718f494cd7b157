"""Errors of files that cannot be written, in the words of the system."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of a system call that could not change a file: no mistake in our code, and nothing that trying again at once mends.
UNWRITABLE = tuple(
    getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EROFS",
        "EACCES",
        "EPERM",
        "EFBIG",
        "EIO",
        "ESTALE",
        "ENOTDIR",
        "EEXIST",
        "ENAMETOOLONG",
        "ENXIO",
    )
    if hasattr(errno, name)
)
READ_ONLY = "Nobody can write there: choose a place on another file system."
# How torch says that a file could not be written; it does not say why.
TORCH_WRITES = re.compile(r"iostream error|PytorchStreamWriter|enforce fail at inline_container")


def write_failure(error: BaseException) -> str | None:
    """Return why a file could not be written, in the system's words, or None where an error says something else.

    Libraries that write by themselves (safetensors, Arrow, torch) tell it in the text of an error of their own.
    """
    if isinstance(error, OSError) and error.errno is not None and error.errno in UNWRITABLE:
        return os.strerror(error.errno)
    text = str(error)
    for number in UNWRITABLE:
        if os.strerror(number) in text:
            return os.strerror(number)
    if isinstance(error, RuntimeError) and TORCH_WRITES.search(text):
        return "the file system reports an error"
    cause = error.__cause__ or error.__context__
    return write_failure(cause) if cause is not None else None


@contextmanager
def write_errors(target: Path) -> Iterator[None]:
    """Turn an error of the block that says that a file cannot be written into a TagdistillError that names `target`."""
    try:
        yield
    except TagdistillError:
        raise
    except Exception as error:
        if (reason := write_failure(error)) is None or _is_elsewhere(error, target):
            raise
        if str(target) == "-":
            raise TagdistillError(f"cannot write: {reason}", where="stdout") from error
        hint = f"{_remedy(error, reason, target)} What was there before is unchanged."
        raise TagdistillError(f"cannot write: {reason}", where=str(target), hint=hint) from error


def _remedy(error: Exception, reason: str, target: Path) -> str:
    if isinstance(error, PermissionError):
        return owner(target.parent)
    return READ_ONLY if reason == os.strerror(errno.EROFS) else "Free some space or choose another folder."


def is_read_only(path: Path) -> bool:
    """Return whether a file or folder is on a file system that nobody may write to."""
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _is_elsewhere(error: Exception, target: Path) -> bool:
    """Return whether an error names a file that is not beside `target`: an input, say, that may not be read."""
    name = getattr(error, "filename", None)
    return name is not None and target.parent not in Path(str(name)).parents


def owner(path: Path) -> str:
    """Return whose a file is, and what to do where its permissions are in the way."""
    try:
        return f"It belongs to {path.owner()}, who can give you the right to it; or choose another place."
    except (KeyError, OSError, NotImplementedError):
        return "Ask its owner for the right to it, or choose another place."
