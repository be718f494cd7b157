"""The data sets that have a place of their own: where each file lies, its checksum where known, and its terms."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tagdistill.data.sources.universal_dependencies import Treebank
from tagdistill.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tagdistill.settings.language import Language

# Every address can be another one: TAGDISTILL_UD_URL and so on name a mirror with the same paths below it.
BASES = {
    "ud": "https://raw.githubusercontent.com/UniversalDependencies",
    "conll2002": "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28",
    "wikiann": "https://s3.amazonaws.com/datasets.huggingface.co/wikiann/1.1.0",
    "hub": "https://huggingface.co",
    "fasttext": "https://dl.fbaipublicfiles.com/fasttext",
}
FORMATS = {"ud": "conllu", "conll2002": "conll", "wikiann": "wikiann", "hub": "parquet", "semeval2016": "semeval_xml"}

CONLL2002_SHA256 = "64440e49236d0d393e08e0b266284966d68e2d2a82a50cc41b8e96d98c03b5c8"
CONLL2002_FILES = {"train": "train", "dev": "testa", "test": "testb"}
CONLL2002_NAMES = {"es": "esp", "nl": "ned"}
# Of the archives of five languages, as they are passed on elsewhere too.
WIKIANN_SHA256 = {
    "ar": "9b6dc9c73982ee9a2dc9e6ed3cb587059145b4e9195b1966a44da6096649246b",
    "fa": "06713853ea1eeb703af2ed5122396d30714fa368e69badbe49593709d0386fed",
    "he": "d2a022fbf8c406db3919f21a0aef88b7323deb7000d95ae7615505ebcaba1c50",
    "mt": "3d775711887a1dd2e5b13baa68bfd5beddef665b9e5dfb4658085a341b8d1a49",
    "ur": "4bdfbf899101acac909971290fef87e6acba4e251abcad2f4029e5035578f796",
}
LICENCES = {
    "conll2002": "research use in the context of the CoNLL-2002 shared task, as its README says",
    "wikiann": "not stated (text: Wikipedia, CC BY-SA; annotations published for research)",
    "conll2003": "research use only: text of Reuters (en) or the ECI corpus (de), under agreements of their own",
    "semeval2016": "non-commercial research use, under the terms of META-SHARE (check those of each language)",
}
WHERE_TO_ASK = {
    "conll2003": "CoNLL-2003 may not be passed on. English: the annotations are at https://www.clips.uantwerpen.be/"
    "conll2003/ner/, the text is Reuters RCV1, from NIST on request (https://trec.nist.gov/data/reuters/reuters.html). "
    "German: the text is the ECI corpus of the LDC (https://catalog.ldc.upenn.edu/LDC94T5).",
    "semeval2016": "SemEval-2016 task 5 may not be passed on. Ask for subtask 1, restaurants, at META-SHARE "
    "(https://alt.qcri.org/semeval2016/task5/ names the form of each language).",
}
OWN = ("path", *WHERE_TO_ASK)  # sources whose files the user brings

ROOT_HINT = "Relative paths start at `root:`; set it there or with --config root=FOLDER."
DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")
SUBSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
CODE = re.compile(r"[a-z][a-z0-9-]*\Z")
FULL_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class Remote:
    """One file to fetch. Paths are below the source's address; the first that exists is taken."""

    source: str
    file: str  # where it is kept below the folder of downloads
    paths: tuple[str, ...]
    kind: str  # conllu, zip, parquet: what it must be before its checksum is recorded
    sha256: str | None = None
    readme: str = ""  # a file that may have a line `License: ...`
    terms: str = ""  # where that line is kept, below the folder of downloads
    missing: str = ""  # what to check where no path exists
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        return [f"{base_url(self.source)}/{path}" for path in self.paths]


def base_url(source: str) -> str:
    """Return the address of a source: TAGDISTILL_..._URL, or its own. Raises ConfigError for what is no address."""
    name = f"TAGDISTILL_{source.upper()}_URL"
    url = os.environ.get(name) or BASES[source]
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is no address", where=name, hint="It begins with http:// or https://.")
    return url.rstrip("/")


def raw_path(settings: Language, split: str, language: str) -> str:
    """Return where the raw file of a split is kept, below the folder of downloads.

    Raises ConfigError for what is not pinned, or is no name: nothing from a config may leave that folder.
    """
    source, part = settings.source, settings.part(split)
    if source == "ud":
        treebank = Treebank.of(settings, language)
        return f"ud/{treebank.name}/{treebank.release}/{part}.conllu"
    if source == "conll2002":
        return f"conll2002/{_conll2002_code(settings, language, part)}/{part}.conll"
    if source == "wikiann":
        return f"wikiann/{_code(settings, language)}.tar.gz"
    dataset, revision, subset = hub_place(settings, language)
    return "/".join(["hub", dataset, revision, *([subset] if subset else []), f"{part}.parquet"])


def treebank_file(settings: Language, split: str, language: str) -> Remote:
    """Return the file of one split of a UD treebank."""
    treebank = Treebank.of(settings, language)
    file = raw_path(settings, split, language)
    return Remote(
        "ud",
        file,
        tuple(treebank.files(settings.part(split))),
        "conllu",
        settings.sha256.get(settings.part(split)),
        readme=f"UD_{treebank.name}/{treebank.release}/README.md",
        terms=terms_beside(file),
        missing=f"Check `treebank: {treebank.name}` and `release: {treebank.release}`; not every treebank has train "
        "and dev: name those it has with `splits: [test]`. A file of your own is `source: path`.",
    )


def terms_beside(file: str) -> str:
    """Return where the licence that a data set states of itself is kept, beside its files."""
    return str(PurePosixPath(file).with_name("licence.txt"))


def conll2002_archive(settings: Language) -> Remote:
    sha256 = settings.sha256.get("archive", CONLL2002_SHA256)
    return Remote("conll2002", "conll2002/conll2002.zip", ("packages/corpora/conll2002.zip",), "zip", sha256)


def conll2002_member(settings: Language, part: str, language: str) -> str:
    code = _conll2002_code(settings, language, part)
    return f"conll2002/{CONLL2002_NAMES[code]}.{CONLL2002_FILES[part]}"


def wikiann_archive() -> Remote:
    return Remote("wikiann", "wikiann/panx_dataset.zip", ("panx_dataset.zip",), "zip")


def wikiann_member(settings: Language, language: str) -> tuple[str, str | None]:
    """Return the name of a language's archive within the large one, and its checksum where it is known."""
    code = _code(settings, language)
    return f"{code}.tar.gz", settings.sha256.get("archive", WIKIANN_SHA256.get(code))


def hub_place(settings: Language, language: str) -> tuple[str, str, str]:
    """Return repository, revision and subset (may be empty) of a data set on the hub."""
    where = f"languages.{language}"
    dataset, revision, subset = settings.dataset or "", settings.revision or "", settings.subset or ""
    if not DATASET.match(dataset):
        what = f"{dataset!r} is not OWNER/NAME" if dataset else "source 'hub' needs `dataset:`"
        raise ConfigError(what, where=f"{where}.dataset", hint="Such as unimelb-nlp/wikiann.")
    if not FULL_COMMIT.match(revision):
        what = f"{revision!r} is not a commit" if revision else "source 'hub' needs `revision:`"
        hint = "Pin the commit, all 40 digits (the page of the repository, 'History'): a branch changes under you."
        raise ConfigError(what, where=f"{where}.revision", hint=hint)
    if subset and not SUBSET.match(subset):
        raise ConfigError(f"{subset!r} is not the name of a subset", where=f"{where}.subset")
    return dataset, revision, subset


def fasttext_file(name: str) -> tuple[Remote, str]:
    """Return one of fastText's files of vectors, and the member of it where it is an archive."""
    if name == "wiki-news-300d-1M":
        path = f"vectors-english/{name}.vec.zip"
        return Remote("fasttext", f"fasttext/{name}.vec.zip", (path,), "zip"), f"{name}.vec"
    ending = "vec.gz" if name.startswith("cc.") else "vec"
    place = "vectors-crawl" if ending == "vec.gz" else "vectors-wiki"
    return Remote("fasttext", f"fasttext/{name}.{ending}", (f"{place}/{name}.{ending}",), ending), ""


def check_source(settings: Language, language: str, splits: tuple[str, ...]) -> None:
    """Refuse what cannot be fetched, as far as the config alone tells; `where` begins with languages.KEY."""
    for split in splits:
        if settings.source not in (*OWN, "demo") and not settings.given(split):
            raw_path(settings, split, language)


def advice(settings: Language) -> str:
    """Return what to do where a file of the config is not there."""
    asked = WHERE_TO_ASK.get(settings.source, "")
    return f"{asked} {ROOT_HINT}" if asked else ROOT_HINT


def _conll2002_code(settings: Language, language: str, part: str) -> str:
    code = settings.code or language
    if code not in CONLL2002_NAMES:
        hint = f"{nearest(code, CONLL2002_NAMES)} Say `code:` where the key is another."
        raise ConfigError(f"CoNLL-2002 has no language {code!r}", where=f"languages.{language}", hint=hint)
    if part not in CONLL2002_FILES:
        hint = f"{nearest(part, CONLL2002_FILES)} `{{of: train, take: ...}}` cuts one out of another."
        raise ConfigError(f"CoNLL-2002 has no split {part!r}", where=f"languages.{language}.{part}", hint=hint)
    return code


def _code(settings: Language, language: str) -> str:
    code = settings.code or language
    if not CODE.match(code):
        raise ConfigError(f"{code!r} is not a code of WikiAnn", where=f"languages.{language}.code", hint="Such as fa.")
    return code
