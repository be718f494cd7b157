"""WikiAnn's original archives of 282 languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagdistill.data.sources.remote import Host, Remote, check_zip
from tagdistill.data.sources.source import Fetched
from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.data.sources.remote import Downloads
    from tagdistill.settings.language import Language

HOST = Host("wikiann", "https://s3.amazonaws.com/datasets.huggingface.co/wikiann/1.1.0")
ARCHIVE = Remote(HOST, "wikiann/panx_dataset.zip", ("panx_dataset.zip",), "zip", check_zip)
# Of the archives of five languages, as they are passed on elsewhere too.
SHA256 = {
    "ar": "9b6dc9c73982ee9a2dc9e6ed3cb587059145b4e9195b1966a44da6096649246b",
    "fa": "06713853ea1eeb703af2ed5122396d30714fa368e69badbe49593709d0386fed",
    "he": "d2a022fbf8c406db3919f21a0aef88b7323deb7000d95ae7615505ebcaba1c50",
    "mt": "3d775711887a1dd2e5b13baa68bfd5beddef665b9e5dfb4658085a341b8d1a49",
    "ur": "4bdfbf899101acac909971290fef87e6acba4e251abcad2f4029e5035578f796",
}
CODE = re.compile(r"[a-z][a-z0-9-]*\Z")


class Wikiann(Fetched):
    """One archive of archives, one per language, which is read as it is."""

    format = "wikiann"
    terms = "not stated (text: Wikipedia, CC BY-SA; annotations published for research)"

    def raw_path(self, settings: Language, split: str, language: str) -> str:
        """Return wikiann/CODE.tar.gz, whatever the split. Raises ConfigError for what cannot be a code."""
        return f"wikiann/{_code(settings, language)}.tar.gz"

    def fetch(self, settings: Language, split: str, language: str, downloads: Downloads) -> Path:
        """Return the archive of a language."""
        code = _code(settings, language)
        sha256 = settings.sha256.get("archive", SHA256.get(code))
        return downloads.extract(ARCHIVE, f"{code}.tar.gz", self.raw_path(settings, split, language), sha256)

    def title(self, settings: Language, split: str, file: Path | None) -> str:
        """Return the archive and the member that is read."""
        return f"{file.name if file else 'wikiann'} {settings.part(split)}"


def _code(settings: Language, language: str) -> str:
    code = settings.code or language
    if not CODE.match(code):
        raise ConfigError(f"{code!r} is not a code of WikiAnn", where=f"languages.{language}.code", hint="Such as fa.")
    return code


SOURCE = Wikiann()
