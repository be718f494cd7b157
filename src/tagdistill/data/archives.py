"""One file out of an archive. No name in an archive ever becomes a path on this machine."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from tagdistill.artifacts.files import atomic_path
from tagdistill.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 2 << 30  # bytes of one member: an archive that unpacks to more is not a data set of ours
BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, zlib.error, ValueError, OSError),
    *(NotImplementedError, RuntimeError),  # a zip packed in a way that Python lacks, or with a password
)


def extract(archive: Path, member: str, out: Path, *, limit: int = LIMIT) -> None:
    """Write the member of a .zip to `out`, complete or not at all; `limit` is the most bytes that it may have.

    It may lie in any folder of the archive. Raises DataError where it is not there or there twice, is a link or folder,
    is too large or is broken.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            item = _item(opened, member, str(archive))
            with opened.open(item) as source, atomic_path(out) as temporary, temporary.open("wb") as target:
                _copy(source, target, limit, f"{archive}: {member}")
    except BROKEN as error:
        raise DataError(f"not a whole .zip archive: {error}", where=str(archive), hint="Fetch it again.") from error


def _item(opened: zipfile.ZipFile, member: str, where: str) -> zipfile.ZipInfo:
    items = [item for item in opened.infolist() if f"/{item.filename}".endswith(f"/{member}")]
    if not items:
        names = sorted(item.filename for item in opened.infolist())[:50]
        raise DataError(f"the archive has no file {member!r}", where=where, hint=nearest(member, names))
    if len(items) > 1:
        raise DataError(f"the archive has {len(items)} files {member!r}", where=where)
    # The upper half of the attributes is the file's mode on Unix: 0o12 is a link, whose text is a path.
    if items[0].is_dir() or items[0].external_attr >> 28 == 0o12:
        raise DataError(f"{member!r} is a link or a folder, not a file", where=where)
    return items[0]


def _copy(source: IO[bytes], target: BinaryIO, limit: int, where: str) -> None:
    """Copy at most `limit` bytes: what an archive says about the size of a member need not be true."""
    while chunk := source.read(1 << 20):
        if target.tell() + len(chunk) > limit:
            raise DataError(f"unpacks to more than {limit:,} bytes", where=where, hint="This is no data set.")
        target.write(chunk)


@contextmanager
def tar_member(handle: BinaryIO, member: str, where: str, *, limit: int = LIMIT) -> Iterator[BinaryIO]:
    """Yield one regular file of an open .tar.gz, whatever folder it lies in; nothing is unpacked to disk.

    Links, devices and files above `limit` bytes are refused as if they were not there.
    """
    try:
        with tarfile.open(fileobj=handle, mode="r:gz") as archive:
            files = [item for item in archive if item.isreg() and item.size <= limit]
            names = [PurePosixPath(item.name).name for item in files]
            if member not in names:
                raise DataError(f"the archive has no file {member!r}", where=where, hint=nearest(member, names))
            if names.count(member) > 1:
                raise DataError(f"the archive has {names.count(member)} files {member!r}", where=where)
            yield cast("BinaryIO", archive.extractfile(files[names.index(member)]))
    except BROKEN as error:
        raise DataError(f"not a whole .tar.gz archive: {error}", where=where, hint="Fetch it again.") from error
