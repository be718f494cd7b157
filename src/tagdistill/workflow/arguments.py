"""Long arguments of the rules' commands, and those in any script."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tagdistill.artifacts.files import write_text

FOLDER = Path(".snakemake/arguments")  # in the folder of the run
LONGEST = 30_000  # bytes; Linux starts no shell command of more than 128 KiB, and a command has a few such arguments


class Argument(str):
    """A text that is a rule's parameter as it is, and that its command gets as @FILE if a shell might not take it.

    That is a long text, or one that a locale without Unicode (LC_ALL=C) could not pass on. The file is written when the
    command is: a plan leaves nothing.
    """

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        """Return what the command gets."""
        text = super().__format__(spec)
        content = text.encode()
        if len(content) <= LONGEST and text.isascii():
            return text
        file = FOLDER / f"{hashlib.sha256(content).hexdigest()[:32]}.json"
        if not file.exists():
            write_text(file, text)
        return f"@{file}"
