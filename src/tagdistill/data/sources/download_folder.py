"""The folder of downloads: every file in it is complete, of the kind that it should be, and has a known checksum."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import atomic_path, discard, sha256_file, write_text
from tagdistill.artifacts.locks import locked
from tagdistill.data import archives
from tagdistill.data.sources import checksums
from tagdistill.data.sources.download import download
from tagdistill.data.sources.remote import NotThere
from tagdistill.errors import DataError, TagdistillError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tagdistill.data.sources.remote import Remote

log = logging.getLogger(__name__)
PATIENCE = 6 * 3600.0  # seconds, with another process that downloads the same file
LICENCE_LINE = re.compile(r"^licen[cs]e:[ \t]*(?:\n[ \t]*-[ \t]*)?(\S.*)$", re.IGNORECASE | re.MULTILINE)


class DownloadFolder:
    """A folder of downloads with its lock file; the methods are described by `remote.Downloads`.

    The checksum of a file is the config's `sha256:`, else the one that this version knows, else that of the lock file,
    which the first download writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def obtain(self, remote: Remote) -> Path:
        """Return a file below the folder, downloaded unless it is there already and what it should be."""
        out = self.folder / remote.file
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = out.with_name(f".{out.name}.lock")
        with locked(lock, "downloading this file", PATIENCE):  # the splits of several languages may want one archive
            known = remote.sha256 or checksums.recorded(self.folder, remote.file)
            if known and out.is_file() and sha256_file(out) == known:
                return out
            found = self._download(remote, out, known)
            if not known:
                checksums.record(self.folder, remote.file, found)
                log.info("%s: sha256 %s, recorded in %s and enforced from now on", out, found, checksums.NAME)
        if remote.terms and not (self.folder / remote.terms).is_file():
            _note_terms(remote, self.folder / remote.terms)
        return out

    def _download(self, remote: Remote, out: Path, known: str | None) -> str:
        """Download a file to `out`, and return its checksum, which must be `known`, if any."""
        with atomic_path(out) as temporary:
            fresh = out.with_name(f"{out.name}.new")  # the name by which an interrupted download is found again
            try:
                url = _first(remote, fresh)
                found = sha256_file(fresh)
                if known and found != known:
                    raise self._changed(remote, url, known, found)
                if not known:
                    _check_kind(remote, fresh, url)
                fresh.replace(temporary)
            finally:
                discard(fresh)
        return found

    def extract(
        self, remote: Remote, member: str, out: str, sha256: str | None = None, *, limit: int = archives.LIMIT
    ) -> Path:
        """Return a member of an archive, written to `out` below the folder; its checksum must be `sha256`, if any.

        `limit` is the most bytes that it may have.
        """
        target = self.folder / out
        if sha256 and target.is_file() and sha256_file(target) == sha256:
            return target
        archive = self.obtain(remote)
        with atomic_path(target) as temporary:
            archives.extract(archive, member, temporary, limit=limit)
            if sha256 and (found := sha256_file(temporary)) != sha256:
                raise self._changed(remote, f"{remote.urls[0]}: {member}", sha256, found)
        return target

    def answer(self, url: str, headers: Mapping[str, str]) -> bytes:
        """Return what a server answers. Raises NotThere where it has nothing at that address."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            file = Path(scratch) / "answer"
            download(url, file, headers)
            return file.read_bytes()

    def _changed(self, remote: Remote, url: str, known: str, found: str) -> TagdistillError:
        lock = self.folder / checksums.NAME
        if checksums.read(lock).get(remote.file) == known:
            accept = f"To accept the new one, remove the line of {remote.file} from {lock}."
        else:
            accept = "To accept the new one, say so in the config: `sha256: {SPLIT: ...}`, or `sha256: {archive: ...}`."
        return TagdistillError(
            f"the SHA-256 is {found}, but should be {known}",
            where=url,
            hint=f"The file changed, or something on the way answered for it; nothing was kept. {accept}",
        )


def _first(remote: Remote, target: Path) -> str:
    """Download the first of a file's addresses that exists, and return it."""
    for url in remote.urls:
        try:
            download(url, target, remote.headers)
            return url
        except NotThere:
            continue
    names = " or ".join(url.rsplit("/", 1)[1] for url in remote.urls)
    mirror = f"A mirror is TAGDISTILL_{remote.host.name.upper()}_URL; files of your own are `source: path`."
    raise TagdistillError(
        f"no such file: {names}", where=remote.urls[0].rsplit("/", 1)[0], hint=remote.missing or mirror
    )


def _note_terms(remote: Remote, note: Path) -> None:
    """Keep the licence that a data set's README names; where it names none there is nothing to keep."""
    scratch = note.with_name(f".{Path(remote.file).name}.readme")
    try:
        download(f"{remote.host.url}/{remote.readme}", scratch, remote.headers)
        found = LICENCE_LINE.search(scratch.read_text(encoding="utf-8", errors="replace"))
        if found:
            write_text(note, found[1].strip().strip("'\"") + "\n")
    except (NotThere, TagdistillError) as error:
        log.warning("%s: its licence could not be read: %s", remote.file, error)
    finally:
        discard(scratch)


def _check_kind(remote: Remote, path: Path, url: str) -> None:
    """Refuse what is no such file (a log-in page, say) before its checksum is recorded."""
    try:
        remote.check(path)
    except DataError as error:
        raise TagdistillError(
            f"the answer is not {remote.kind}: {error.what}",
            where=url,
            hint="Something on the way may have answered for it; nothing was kept.",
        ) from error
