"""CoNLL-2002: Spanish (es) and Dutch (nl)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.data.sources.remote import Host, Remote, check_zip
from tagdistill.data.sources.source import Fetched
from tagdistill.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.data.sources.remote import Downloads
    from tagdistill.settings.language import Language

HOST = Host("conll2002", "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28")
SHA256 = "64440e49236d0d393e08e0b266284966d68e2d2a82a50cc41b8e96d98c03b5c8"
FILES = {"train": "train", "dev": "testa", "test": "testb"}
LANGUAGES = {"es": "esp", "nl": "ned"}


class Conll2002(Fetched):
    """One archive of both languages."""

    format = "conll"
    terms = "research use in the context of the CoNLL-2002 shared task, as its README says"

    def raw_path(self, settings: Language, split: str, language: str) -> str:
        """Return conll2002/CODE/SPLIT.conll. Raises ConfigError for a language or split that the corpus lacks."""
        part = settings.part(split)
        return f"conll2002/{_code(settings, language, part)}/{part}.conll"

    def fetch(self, settings: Language, split: str, language: str, downloads: Downloads) -> Path:
        """Return the file of a split, extracted from the archive."""
        out, part = self.raw_path(settings, split, language), settings.part(split)
        member = f"conll2002/{LANGUAGES[_code(settings, language, part)]}.{FILES[part]}"
        sha256 = settings.sha256.get("archive", SHA256)
        archive = Remote(HOST, "conll2002/conll2002.zip", ("packages/corpora/conll2002.zip",), "zip", check_zip, sha256)
        return downloads.extract(archive, member, out)


def _code(settings: Language, language: str, part: str) -> str:
    code = settings.code or language
    if code not in LANGUAGES:
        hint = f"{nearest(code, LANGUAGES)} Say `code:` where the key is another."
        raise ConfigError(f"CoNLL-2002 has no language {code!r}", where=f"languages.{language}", hint=hint)
    if part not in FILES:
        hint = f"{nearest(part, FILES)} `{{of: train, take: ...}}` cuts one out of another."
        raise ConfigError(f"CoNLL-2002 has no split {part!r}", where=f"languages.{language}.{part}", hint=hint)
    return code


SOURCE = Conll2002()
