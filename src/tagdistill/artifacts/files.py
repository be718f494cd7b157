"""Files that are complete or absent, and hashes of what they hold."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.errors import DataError, MismatchError, TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Of a system call that could not change a file: no mistake in our code, and nothing that trying again at once mends.
UNWRITABLE = tuple(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EFBIG", "EIO", "ESTALE")
    if hasattr(errno, name)
)
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
        if (reason := write_failure(error)) is None:
            raise
        raise TagdistillError(
            f"cannot write: {reason}",
            where=str(target),
            hint="Free some space or choose another folder; what was there before is unchanged.",
        ) from error


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `target` (file or folder); rename it into place only if the block succeeds.

    A folder at `target` is replaced only by another state of itself, after that one is whole: a folder that has a name
    in common with it. What a process that was killed had begun to write for the same target is removed. Raises
    TagdistillError, with the path, where it cannot be written.
    """
    temporary = _sibling(target, "tmp")
    try:
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(target)
            _remove(temporary)
            yield temporary
            _replace(temporary, target)
    finally:
        with suppress(OSError):  # what stands in the way of this stood in the way of the writing, too
            _remove(temporary)


def _sibling(target: Path, ending: str) -> Path:
    return target.with_name(f".{target.name}.{_machine()}.{os.getpid()}.{ending}")


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", platform.node())[:40] or "local"


def _remove_abandoned(target: Path) -> None:
    """Remove temporary siblings whose process, on this machine, is no longer there."""
    name = re.compile(rf"\.{re.escape(target.name)}\.{_machine()}\.(\d+)\.(tmp|old)\Z")
    for path in target.parent.iterdir():
        if (match := name.match(path.name)) and not is_running(int(match[1])):
            _remove(path)


def is_running(process: int) -> bool:
    """Return whether this machine has a process of this number, whoever owns it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's, or no number of ours
        return True
    return True


def _replace(temporary: Path, target: Path) -> None:
    _flush(temporary)
    if temporary.is_file():
        refuse_folder(target)
    if target.is_dir() and not target.is_symlink():
        _refuse_another(temporary, target)
        old = _sibling(target, "old")
        _remove(old)
        target.rename(old)
        temporary.rename(target)
        with suppress(OSError):  # the new one is in place; the next writer removes this
            _remove(old)
    else:
        temporary.replace(target)


def refuse_folder(target: Path) -> None:
    """Raise TagdistillError where a file would be written in the place of a folder."""
    if target.is_dir():
        hint = "Name the file to write, such as one in this folder; nothing was changed."
        raise TagdistillError("is a folder", where=str(target), hint=hint)


def _refuse_another(new: Path, folder: Path) -> None:
    held = {path.name for path in folder.iterdir()}
    if held and held.isdisjoint(path.name for path in new.iterdir()):
        raise TagdistillError(
            f"is a folder of something else ({min(held)}, ...)",
            where=str(folder),
            hint="Name a new folder; nothing was changed.",
        )


def _flush(path: Path) -> None:
    """Bring the bytes to the disk before the rename, so that a power cut cannot leave a whole name on half a file."""
    for file in [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8, LF) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write sorted, indented JSON atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file, or say which file cannot be read and why."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path)) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"not readable as JSON: {error}", where=str(path)) from error


def check_kind(record: object, kind: str, version: int, where: Path | str) -> dict[str, Any]:
    """Return what an artefact says of itself, after refusing one of another `kind` or of another `format` number.

    Raises DataError where the record is no mapping or has no kind (tagdistill did not write it), MismatchError with
    both values where kind or format is another's.
    """
    if not isinstance(record, dict) or "kind" not in record:
        raise DataError("was not written by tagdistill", where=str(where))
    for name, needed in (("kind", kind), ("format", version)):
        if (found := record.get(name)) != needed:
            raise MismatchError(
                f"{name} is {found!r}, needed is {needed!r}",
                where=str(where),
                hint="Delete it and run again: this version writes it again.",
            )
    return record


def check_belongs(where: Path | str, metadata: Mapping[str, Any], **needed: object) -> None:
    """Refuse an artefact that was made for another label list, corpus or teacher; the MismatchError has both values."""
    for name, value in needed.items():
        if metadata.get(name) != value:
            raise MismatchError(
                f"{name} is {metadata.get(name)!r}, needed is {value!r}",
                where=str(where),
                hint="It does not belong to what it is used with. If it is the wrong one, delete it and run again.",
            )


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON: equal values, equal hashes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def folder_size(path: Path) -> int:
    """Return the bytes of all files below a folder, or of one file."""
    return sum(f.stat().st_size for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file())


def cache_folder() -> Path:
    """Return the folder of what is fetched or built once for all projects: TAGDISTILL_CACHE, or the user's cache."""
    import pooch

    return Path(os.environ.get("TAGDISTILL_CACHE") or pooch.os_cache("tagdistill"))
