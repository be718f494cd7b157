"""Universal Dependencies: a treebank at a release."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagdistill.data.readers.read import read
from tagdistill.data.sources.remote import Host, Remote, terms_beside
from tagdistill.data.sources.source import Fetched
from tagdistill.errors import ConfigError
from tagdistill.settings.language import Language

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.data.sources.remote import Downloads

HOST = Host("ud", "https://raw.githubusercontent.com/UniversalDependencies")
TREEBANK = re.compile(r"([A-Z][A-Za-z_]*)-([A-Za-z0-9]+)\Z")
TAG = re.compile(r"r(\d+)\.(\d+)\Z")
COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
SUFFIXED = (2, 2)  # the first release in which every file carries the treebank's name

# UD's code of each language, which begins the file names. A language that is missing here takes its `code:` or key.
NAMES = """
Afrikaans:af Akkadian:akk Albanian:sq Amharic:am Ancient_Greek:grc Ancient_Hebrew:hbo Arabic:ar Armenian:hy Assyrian:aii
Azerbaijani:az Bambara:bm Basque:eu Belarusian:be Bengali:bn Bhojpuri:bho Breton:br Bulgarian:bg Buryat:bxr
Cantonese:yue Catalan:ca Cebuano:ceb Chinese:zh Classical_Chinese:lzh Coptic:cop Croatian:hr Czech:cs Danish:da Dutch:nl
English:en Erzya:myv Estonian:et Faroese:fo Finnish:fi French:fr Galician:gl Georgian:ka German:de Gothic:got Greek:el
Gujarati:gu Haitian_Creole:ht Hausa:ha Hebrew:he Hindi:hi Hungarian:hu Icelandic:is Indonesian:id Irish:ga Italian:it
Japanese:ja Javanese:jv Kannada:kn Karelian:krl Kazakh:kk Komi_Zyrian:kpv Korean:ko Kurmanji:kmr Kyrgyz:ky Latin:la
Latvian:lv Ligurian:lij Lithuanian:lt Livvi:olo Low_Saxon:nds Luxembourgish:lb Macedonian:mk Malayalam:ml Maltese:mt
Manx:gv Marathi:mr Naija:pcm North_Sami:sme Norwegian:no Old_Church_Slavonic:cu Old_East_Slavic:orv Old_French:fro
Persian:fa Polish:pl Portuguese:pt Romanian:ro Russian:ru Sanskrit:sa Scottish_Gaelic:gd Serbian:sr Sindhi:sd Sinhala:si
Slovak:sk Slovenian:sl Somali:so Spanish:es Swedish:sv Swiss_German:gsw Tagalog:tl Tamil:ta Tatar:tt Telugu:te Thai:th
Turkish:tr Ukrainian:uk Upper_Sorbian:hsb Urdu:ur Uyghur:ug Uzbek:uz Vietnamese:vi Welsh:cy Western_Armenian:hyw
Wolof:wo Yoruba:yo
"""
CODES = {name: code for name, _, code in (pair.partition(":") for pair in NAMES.split())}


@dataclass(frozen=True)
class Treebank:
    """A treebank at a pinned release."""

    name: str  # such as French-Sequoia
    release: str  # a tag such as r2.15, or a commit
    code: str  # UD's code of the language

    @classmethod
    def of(cls, settings: Language, language: str) -> Treebank:
        """Check what the config says about a treebank; a branch is refused, since it moves."""
        where = f"languages.{language}"
        name, release = settings.treebank or "", settings.release or ""
        found = TREEBANK.match(name.removeprefix("UD_"))
        if not found:
            what = f"{name!r} is not the name of a treebank" if name else "source 'ud' needs `treebank:`"
            raise ConfigError(what, where=f"{where}.treebank", hint="Such as French-Sequoia or Norwegian-Bokmaal.")
        if not (TAG.match(release) or COMMIT.match(release)):
            what = f"{release!r} is not a release" if release else "source 'ud' needs `release:`"
            hint = "Pin a tag such as r2.15, or a commit: a branch changes under your results."
            raise ConfigError(what, where=f"{where}.release", hint=hint)
        return cls(found[0], release, CODES.get(found[1]) or settings.code or language)

    def files(self, split: str) -> list[str]:
        """Return the paths a split's file may have below the organisation, the likeliest first.

        Up to r2.1 a language's first treebank had no name of its own: `id-ud-train.conllu`, not `id_gsd-ud-train`.
        The repositories were renamed since, and keep their old tags.
        """
        stems = [f"{self.code}_{self.name.split('-')[1].lower()}"]
        tag = TAG.match(self.release)
        if not tag or (int(tag[1]), int(tag[2])) < SUFFIXED:
            stems.append(self.code)
        return [f"UD_{self.name}/{self.release}/{stem}-ud-{split}.conllu" for stem in stems]


class Ud(Fetched):
    """One file per split, named after treebank and release."""

    format = "conllu"

    def language_code(self, settings: Language, language: str) -> str | None:
        """Return the code of a language that is not in the table: its `code:` or key."""
        known = (settings.treebank or "").removeprefix("UD_").partition("-")[0] in CODES
        return None if known else settings.code or language

    def raw_path(self, settings: Language, split: str, language: str) -> str:
        """Return ud/TREEBANK/RELEASE/SPLIT.conllu. Raises ConfigError where treebank or release are not pinned."""
        treebank = Treebank.of(settings, language)
        return f"ud/{treebank.name}/{treebank.release}/{settings.part(split)}.conllu"

    def fetch(self, settings: Language, split: str, language: str, downloads: Downloads) -> Path:
        """Return the file of a split."""
        treebank, part = Treebank.of(settings, language), settings.part(split)
        file = self.raw_path(settings, split, language)
        missing = (
            f"Check `treebank: {treebank.name}` and `release: {treebank.release}`; not every treebank has train and "
            "dev: name those it has with `splits: [test]`. A file of your own is `source: path`."
        )
        remote = Remote(
            HOST,
            file,
            tuple(treebank.files(part)),
            "conllu",
            _check_conllu,
            settings.sha256.get(part),
            readme=f"UD_{treebank.name}/{treebank.release}/README.md",
            terms=terms_beside(file),
            missing=missing,
        )
        return downloads.obtain(remote)

    def title(self, settings: Language, split: str, file: Path | None) -> str:
        """Return treebank, release and split."""
        return f"UD_{settings.treebank} {settings.release} {settings.part(split)}"

    def known_licence(self, settings: Language) -> str:
        """Return where the licence of the treebank is."""
        return (
            f"see https://github.com/UniversalDependencies/UD_{settings.treebank}/blob/{settings.release}/LICENSE.txt"
        )


def _check_conllu(path: Path) -> None:
    """Refuse a file whose first sentence cannot be read."""
    next(read(path, Language.model_validate({"format": "conllu"})))


SOURCE = Ud()
