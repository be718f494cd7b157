"""Files on other machines: where each lies, what it must be, and what a source may ask of the downloads."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from tagdistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class NotThere(Exception):
    """The server has no such file."""


@dataclass(frozen=True)
class Host:
    """A place that files are fetched from; TAGDISTILL_NAME_URL is another address with the same paths below it."""

    name: str
    address: str

    @property
    def url(self) -> str:
        """The address in use. Raises ConfigError where the variable holds none."""
        variable = f"TAGDISTILL_{self.name.upper()}_URL"
        url = os.environ.get(variable) or self.address
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{url!r} is no address", where=variable, hint="It begins with http:// or https://.")
        return url.rstrip("/")


@dataclass(frozen=True)
class Remote:
    """One file to fetch. Paths are below the host's address; the first that exists is taken."""

    host: Host
    file: str  # where it is kept below the folder of downloads
    paths: tuple[str, ...]
    kind: str  # what it must be, in a word
    check: Callable[[Path], None]  # raises DataError where it is something else, before its checksum is recorded
    sha256: str | None = None
    readme: str = ""  # a file that may have a line `License: ...`
    terms: str = ""  # where that line is kept, below the folder of downloads
    missing: str = ""  # what to check where no path exists
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        """The full addresses, the likeliest first."""
        return [f"{self.host.url}/{path}" for path in self.paths]


class Downloads(Protocol):
    """What a source may ask of the folder of downloads. All errors are TagdistillErrors, but for NotThere."""

    folder: Path

    def obtain(self, remote: Remote) -> Path:
        """Return a file below the folder, downloaded unless it is there already and what it should be."""
        ...

    def extract(self, remote: Remote, member: str, out: str, sha256: str | None = None) -> Path:
        """Return a member of an archive, written to `out` below the folder; its checksum must be `sha256`, if any."""
        ...

    def answer(self, url: str, headers: Mapping[str, str]) -> bytes:
        """Return what a server answers. Raises NotThere where it has nothing at that address."""
        ...


def terms_beside(file: str) -> str:
    """Return where the licence that a data set states of itself is kept, beside its files."""
    return str(PurePosixPath(file).with_name("licence.txt"))


def check_zip(path: Path) -> None:
    """Refuse what is no .zip archive."""
    if not zipfile.is_zipfile(path):
        raise DataError("not a .zip archive")
