"""The commands and configs of README.md, CONTRIBUTING.md, config/README.md and docs/, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:snakemake|tagdistill|make)(?: [^`]+)?)`")
TOOLS = ("snakemake", "tagdistill", "make")


@dataclass(frozen=True)
class Command:
    """A command of a page; `whole` where it stands in a console block, to be given as it is."""

    page: str
    text: str
    whole: bool

    @property
    def words(self) -> list[str]:
        words = shlex.split(self.text, comments=self.whole)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # variables before a command
            words = words[1:]
        return words

    @property
    def tool(self) -> str:
        return self.words[0] if self.words else ""

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:70]}"


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a language: page and text."""
    found = []
    for page in PAGES:
        for kind, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if kind == language:
                found.append((page.name, text))
    return found


def commands() -> list[Command]:
    """Return every command: the `$` lines of console blocks, and what stands between backquotes in the text."""
    found = []
    for page, text in blocks("console"):
        lines = text.replace("\\\n", " ").splitlines()
        found += [Command(page, " ".join(line[2:].split()), whole=True) for line in lines if line.startswith("$ ")]
    for page in PAGES:
        prose = FENCE.sub("", page.read_text(encoding="utf-8"))
        found += [Command(page.name, " ".join(text.split()), whole=False) for text in INLINE.findall(prose)]
    return list(dict.fromkeys(found))
