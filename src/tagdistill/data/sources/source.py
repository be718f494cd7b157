"""The interface of a source. Each source is a module of `catalogue/`, loaded by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tagdistill.data.sources.remote import terms_beside
from tagdistill.errors import ConfigError
from tagdistill.settings.names import SOURCES, names_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.data.sources.remote import Downloads
    from tagdistill.settings.language import Language
    from tagdistill.settings.names import Scheme

Pairs = tuple[list[str], list[str]]  # tokens and labels of a sentence; no labels in unlabelled text


class Source:
    """Where the files of a language come from. `language` is its key in the config, named in errors.

    A split with a `path:` of its own is never asked of the source.
    """

    own = False  # whether all files are the user's
    fetched = False  # whether files are downloaded
    format: str | None = None  # of its files; None: as the language's `format:` says
    tasks: tuple[str, ...] = ()  # of a source without files: those that its labels are for
    scheme: Scheme | None = None  # of a source without files: that of its labels
    where_to_ask = ""  # of files that may not be passed on
    terms: str | None = None  # the licence, where it is the same for all files

    def splits(self, settings: Language, language: str) -> tuple[str, ...]:
        """Return the splits that a language has where the config names none."""
        return ("train", "dev", "test")

    def language_code(self, settings: Language, language: str) -> str | None:
        """Return the code that decides which files are fetched, or None where other settings alone do."""
        return settings.code or language

    def raw_path(self, settings: Language, split: str, language: str) -> str | None:
        """Return where the raw file of a split is kept below the folder of downloads; None where none is fetched.

        Raises ConfigError for what is not pinned, or is no name: nothing from a config may leave that folder.
        """
        return None

    def check(self, settings: Language, language: str, splits: Iterable[str]) -> None:
        """Refuse what cannot be fetched, as far as the config alone tells.

        The `where` of the ConfigError begins with languages.KEY.
        """
        for split in splits:
            if not settings.given(split):
                self.raw_path(settings, split, language)

    def fetch(self, settings: Language, split: str, language: str, downloads: Downloads) -> Path | None:
        """Return the raw file of a split, downloaded unless it is there; None for a source without files."""
        return None

    def title(self, settings: Language, split: str, file: Path | None) -> str:
        """Return how errors and reports name the file of a split."""
        return f"{settings.source} {file.name if file else settings.part(split)}"

    def licence(self, settings: Language, file: Path | None) -> str | None:
        """Return the licence of the data as far as it is known: as stated beside the file, or where to read it."""
        return self.terms

    def sentences(self, settings: Language, split: str, language: str) -> list[Pairs]:
        """Return the sentences of a source without files. Raises ConfigError for one that has files."""
        raise ConfigError(f"no {split!r} split is given", where=f"languages.{language}", hint=f"Add `{split}: FILE`.")


class OwnFiles(Source):
    """Files that the user brings."""

    own = True

    def splits(self, settings: Language, language: str) -> tuple[str, ...]:
        """Return no split: those are there that the config names."""
        return ()

    def check(self, settings: Language, language: str, splits: Iterable[str]) -> None:
        """Refuse a split without a path."""
        for split in splits:
            if not settings.given(split):
                raise ConfigError(
                    "`path` is needed", where=f"languages.{language}.{split}", hint=f"`source: {settings.source}`."
                )

    def fetch(self, settings: Language, split: str, language: str, downloads: Downloads) -> Path | None:
        """Raise ConfigError: there is nothing to fetch."""
        where = f"languages.{language}" if language else None
        raise ConfigError(f"no {split!r} split", where=where, hint=self.where_to_ask)


class Fetched(Source):
    """Files that are downloaded."""

    fetched = True

    def licence(self, settings: Language, file: Path | None) -> str | None:
        """Return the licence that the data set states of itself, kept beside its files, else what is known of it."""
        stated = Path(terms_beside(str(file))) if file else None
        if stated and stated.is_file():
            return stated.read_text(encoding="utf-8").strip()
        return self.known_licence(settings)

    def known_licence(self, settings: Language) -> str | None:
        """Return the licence, or where to read it, as far as it is known without the files."""
        return self.terms


def load_source(name: str) -> Source:
    """Return a source by its name in a config."""
    return cast("Source", import_module(f"tagdistill.data.sources.catalogue.{name}").SOURCE)


def fetched_sources() -> tuple[str, ...]:
    """Return the names of the sources that download files: each has a folder of its name among the downloads."""
    return tuple(name for name in names_in(SOURCES) if load_source(name).fetched)


def source_name(settings: Language, split: str, file: Path | None) -> str:
    """Return how errors and reports name the file of a split: the path as the config has it, or the source's title."""
    if given := settings.given(split):
        return str(given.path)
    return load_source(settings.source).title(settings, split, file)


def licence(settings: Language, file: Path | None = None) -> str | None:
    """Return the licence of a language's data: as configured, else as far as its source knows it."""
    return settings.licence or load_source(settings.source).licence(settings, file)


def advice(settings: Language, root: Path) -> str:
    """Return what to do where a file of the config does not exist."""
    return " ".join(filter(None, (load_source(settings.source).where_to_ask, root_hint(root))))


def root_hint(root: Path) -> str:
    """Return where relative paths of a config start, and what changes that."""
    here = f"Relative paths start at `root:`, here {root.resolve()}."
    return f"{here} Set it there, or with `--root FOLDER` (Snakemake: `--config root=FOLDER`)."
