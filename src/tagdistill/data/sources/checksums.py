"""The lock file of downloads: what was first fetched is what later downloads must be.

`resources/data/checksums.sha256` has the layout of sha256sum: `cd resources/data && sha256sum -c checksums.sha256`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import write_text
from tagdistill.artifacts.locks import locked
from tagdistill.artifacts.stored_file import stored
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 600.0  # seconds
NAME = "checksums.sha256"
LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)\Z")


def recorded(folder: Path, name: str) -> str | None:
    """Return the checksum that the lock file of a folder has for a file below it."""
    return read(folder / NAME).get(name)


def record(folder: Path, name: str, sha256: str) -> None:
    """Write a checksum into the lock file; several jobs may do so at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{NAME}.lock", "writing the checksums of downloads", PATIENCE):
        known = read(folder / NAME) | {name: sha256}
        write_text(folder / NAME, "".join(f"{digest}  {file}\n" for file, digest in sorted(known.items())))


def read(path: Path) -> dict[str, str]:
    """Return all checksums by file name; DataError with the line where one cannot be read."""
    if not path.is_file():
        return {}
    found = {}
    with stored(path, "text"):
        lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not (match := LINE.match(line)):
            raise DataError(
                "not a SHA-256 and a file name",
                where=f"{path}:{number}",
                hint="Remove the line.",
            )
        found[match[2]] = match[1]
    return found
