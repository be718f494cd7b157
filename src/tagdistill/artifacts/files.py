"""Files that are complete or absent, and hashes of what they hold."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tagdistill.artifacts.output_path import check_parent, check_target, followed
from tagdistill.artifacts.stored_file import COPY, stored
from tagdistill.artifacts.streams import is_stream, streaming, written_through
from tagdistill.artifacts.write_errors import write_errors
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)
AGAIN = "Delete it and run again: this version writes it again."
UPDATE = "It was written by a newer version: update tagdistill."
MAX_NAME = 150  # bytes of a name in that of its temporary sibling
SIBLING = re.compile(r"\.(.+)\.(\d+)\.(?:tmp|old|mode)\Z")  # the name of its target with the machine, its process
# Of a large file: bytes of a block, and how many blocks are hashed.
SAMPLE, SAMPLES = 1 << 20, 64


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `target` (file or folder); rename it into place only if the block succeeds.

    A link is followed; a device, a FIFO and `-` (stdout) are written to. A folder at `target` is replaced only by a
    folder, only if it is ours or empty, and only after the new one is whole. All files get the mode that the umask
    leaves. What a process that was killed had begun to write for the same target is removed. Raises TagdistillError,
    with the path, where it cannot be written.
    """
    if is_stream(target):
        with write_errors(target), streaming(target) as temporary:
            yield temporary
        return
    place = followed(target)
    check_parent(place)
    temporary = sibling(place, "tmp")
    try:
        with write_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            _discard_abandoned(place)
            _remove(temporary)
            yield temporary
            check_target(place, folder=temporary.is_dir())
            _replace(temporary, place)
    finally:
        discard(temporary)


@contextmanager
def open_output(target: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which takes the place of `target` only if the block succeeds, as in `atomic_path`.

    What is written to stdout (`-`), a device or a FIFO is there at once.
    """
    if is_stream(target):
        with write_errors(target), written_through(target) as sink:
            yield sink
        return
    with atomic_path(target) as temporary, temporary.open("wb") as sink:
        yield sink


def sibling(target: Path, ending: str) -> Path:
    """Return a name beside `target`, hidden, that says which process on which machine has it."""
    return target.with_name(f".{_ours(target)}.{os.getpid()}.{ending}")


def _ours(target: Path) -> str:
    """Return how the names of temporary siblings begin on this machine; a long name is cut, between characters."""
    return f"{os.fsencode(target.name)[:MAX_NAME].decode(errors='ignore')}.{_machine()}"


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", platform.node())[:40] or "local"


def _discard_abandoned(target: Path) -> None:
    """Remove temporary siblings whose process, on this machine, is no longer there."""
    ours = _ours(target)
    for path in target.parent.iterdir():
        if (match := SIBLING.match(path.name)) and match[1] == ours and not is_running(int(match[2])):
            discard(path)


def writer_of(path: Path) -> int | None:
    """Return the number of the process that makes a temporary sibling; None for a path that is none."""
    match = SIBLING.match(path.name)
    return int(match[2]) if match else None


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
    give_usual_modes(temporary, target)
    flush(temporary)
    if not target.is_dir():
        temporary.replace(target)
        return
    old = sibling(target, "old")
    _remove(old)
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    discard(old)


def give_usual_modes(path: Path, target: Path | None = None) -> None:
    """Give a file, or all files in a folder, the mode of files that are opened for writing (0666 less the umask).

    Some libraries write for the owner alone, and a copy has the mode of its original. `target` is the path that a
    temporary sibling becomes: what is left by a process that was killed here is found by its name.
    """
    probe = sibling(target or path, "mode")
    with os.fdopen(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)) as handle:
        usual = stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
    probe.unlink()
    for file in _files(path):
        if stat.S_IMODE(file.stat().st_mode) != usual:
            file.chmod(usual)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def flush(path: Path) -> None:
    """Bring the bytes to the disk before the rename, so that a power cut cannot leave a whole name on half a file."""
    for file in _files(path):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that never changes a second name, or copy it where the file system has one name for each file."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a file or a folder that is needed no more; one that cannot be removed is named in a warning.

    Network file systems keep names of files that are still open: what was finished must not fail for that.
    """
    try:
        _remove(path)
    except OSError as error:
        log.warning("%s could not be removed (%s): it is needed no more", path, error.strerror or error)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8, LF) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write sorted, indented JSON atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, hint: str = COPY) -> Any:
    """Read a JSON file, or say which file cannot be read, why, and what to do (`hint`)."""
    with stored(path, "JSON", hint):
        return json.loads(path.read_text(encoding="utf-8"))


def read_mapping(path: Path, *names: str) -> dict[str, Any]:
    """Read a JSON file that holds names with values, these among them, or say which file does not."""
    with stored(path, "JSON"):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise TypeError("names with values are needed")
        for name in names:
            value[name]  # a KeyError is told as what is missing
    return value


def check_kind(record: object, kind: str, version: int, where: Path | str, hint: str = AGAIN) -> dict[str, Any]:
    """Return what an artefact says of itself, after refusing one of another `kind` or of another `format` number.

    `hint` is what to do about one of an older format; of a newer one it is to update tagdistill.

    Raises DataError where the record is no mapping or has no kind (tagdistill did not write it), MismatchError with
    both values where kind or format is another's.
    """
    if not isinstance(record, dict) or "kind" not in record:
        raise DataError("was not written by tagdistill", where=str(where))
    for name, needed in (("kind", kind), ("format", version)):
        if (found := record.get(name)) != needed:
            newer = name == "format" and isinstance(found, int) and found > version
            raise MismatchError(
                f"{name} is {found!r}, needed is {needed!r}", where=str(where), hint=UPDATE if newer else hint
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


def sha256_sample(path: Path) -> str:
    """Return a SHA-256 of a file's size and of blocks that are spread over it; a small file is read as a whole.

    It tells apart files of which every part differs, such as tables of other numbers, and not those that differ in a
    few bytes: whether pages and weights are whole is what their own checksums say.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as handle:
        for number in range(SAMPLES):
            handle.seek(number * max(0, size - SAMPLE) // (SAMPLES - 1))
            digest.update(handle.read(SAMPLE))
            if size <= SAMPLE * SAMPLES:
                digest.update(handle.read())
                break
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON: equal values, equal hashes."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return a value as JSON in one way: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def folder_size(path: Path) -> int:
    """Return the bytes of all files below a folder, or of one file."""
    return sum(file.stat().st_size for file in _files(path))


def cache_folder() -> Path:
    """Return the folder of what is fetched or built once for all projects: TAGDISTILL_CACHE, or the user's cache."""
    import pooch

    return Path(os.environ.get("TAGDISTILL_CACHE") or pooch.os_cache("tagdistill"))
