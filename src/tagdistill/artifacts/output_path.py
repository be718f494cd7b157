"""Where a result may go: an output path is the user's until it is known to be ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.streams import STANDARD, check_open, is_stream
from tagdistill.artifacts.write_errors import READ_ONLY, is_read_only, owner
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterable

# The records that tagdistill writes into its folders, and the keys by which they are known.
RECORDS = {"tagdistill.json": {"format"}, "config.json": {"format", "kind"}, "tagger.json": {"format", "kind"}}


def check_output(path: Path, *, folder: bool = False, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse an output path before any work is done for it.

    `folder` says what will be written: a folder, or a file. Raises TagdistillError where something of the other kind is
    there, a folder that tagdistill did not write, a disk, no place that may be written to, or one of the `inputs`.
    """
    check_target(path, folder=folder)
    for given in inputs:
        if given is not None and _would_overwrite(path, given):
            raise TagdistillError(
                f"the output would overwrite the input {given}",
                where=str(path),
                hint="Choose another place; nothing was changed.",
            )
    if not is_stream(path):
        check_parent(followed(path))


def check_folder(path: Path) -> None:
    """Refuse a folder to write files into that is a file, or that may not be written to; it may hold other files."""
    if is_stream(path) or (path.exists() and not path.is_dir()):
        raise TagdistillError("this is no folder, a folder is needed", where=str(path))
    check_parent(followed(path) / "file")


def check_target(path: Path, *, folder: bool) -> None:
    """Refuse what a file or a `folder` may not be written over; what is no regular file is written through."""
    where = str(path)
    if is_stream(path):
        if folder:
            raise TagdistillError("a folder cannot be written to a stream or a device", where=where)
        if path.is_block_device():
            raise TagdistillError("this is a disk, not a file", where=where)
        check_open(path)
    elif path.is_dir() and not folder:
        raise TagdistillError("this is a folder, a file is needed", where=where, hint=f"Such as {path / 'NAME'}.")
    elif path.exists() and folder and not path.is_dir():
        raise TagdistillError("this is a file, a folder is needed", where=where)
    elif path.is_dir() and not _is_replaceable(path):
        raise TagdistillError(
            "this folder was not written by tagdistill, and holds files",
            where=where,
            hint="Choose another place, or remove it yourself; nothing was changed.",
        )


def check_page(folder: Path, names: Iterable[str]) -> None:
    """Refuse to write files of these names where other files have one of them: somebody else's, or our own report.

    The first is a page of HTML; it is one of those that these files make where the others are beside it.
    """
    check_folder(folder)
    names = list(names)
    page = folder / names[0]
    try:
        ours = page.is_file() and 'name="generator" content="tagdistill' in page.read_text(encoding="utf-8")[:4096]
    except (OSError, UnicodeDecodeError):
        ours = False
    there = [name for name in names if (folder / name).exists()]
    if there and not (ours and there == names):
        other = f"is another page, without {names[-1]}" if ours else "was not written by tagdistill"
        raise TagdistillError(f"{there[0]} is there, and {other}", where=str(folder), hint="Choose another folder.")


def followed(path: Path) -> Path:
    """Return the absolute path that a path with links leads to. Raises TagdistillError for links in a circle."""
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise TagdistillError("a link that leads to itself", where=str(path))
    return place


def _would_overwrite(path: Path, given: Path) -> bool:
    """Return whether writing `path` would change `given`, or what lies in it; links are followed."""
    if given == STANDARD or is_stream(given) or not given.exists() or not path.exists():
        return False
    if path.samefile(given):
        return True
    inner, outer = followed(path), followed(given)
    return inner.is_relative_to(outer) or outer.is_relative_to(inner)


def _is_replaceable(folder: Path) -> bool:
    return not any(folder.iterdir()) or any(_has_keys(folder / name, keys) for name, keys in RECORDS.items())


def _has_keys(record: Path, keys: set[str]) -> bool:
    try:
        values = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and keys <= set(values)


def check_parent(path: Path) -> None:
    """Refuse a place below a file, or in a folder that may not be written to."""
    parent = next(folder for folder in path.parents if folder.exists())
    if not parent.is_dir():
        raise TagdistillError(f"{parent} is a file, not a folder", where=str(path))
    if is_read_only(parent):
        raise TagdistillError(f"{parent} is on a read-only file system", where=str(path), hint=READ_ONLY)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise TagdistillError(f"you may not write to {parent}: permission denied", where=str(path), hint=owner(parent))
