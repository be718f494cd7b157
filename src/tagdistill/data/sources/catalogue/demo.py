"""The embedded demo corpus: names in ten languages, no download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data import demo
from tagdistill.data.sources.source import Pairs, Source

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.language import Language


class Demo(Source):
    """Sentences that come with the package; there is no file."""

    tasks = ("ner",)
    scheme = "BIOES"

    def splits(self, settings: Language, language: str) -> tuple[str, ...]:
        """Return the splits that the corpus has. Raises ConfigError for a language that it does not have."""
        return demo.splits(settings.code or language)

    def licence(self, settings: Language, file: Path | None) -> str | None:
        """Return the first line of the corpus's own notice."""
        return demo.licence().strip().splitlines()[0]

    def sentences(self, settings: Language, split: str, language: str) -> list[Pairs]:
        """Return the tokens and BIOES labels of each sentence."""
        return demo.sentences(settings.code or language, settings.part(split))


SOURCE = Demo()
