"""Fetch the raw file of a split: a path is used in place, a data set is downloaded, the demo has none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.data.sources.download_folder import DownloadFolder
from tagdistill.data.sources.source import advice, licence, load_source
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from tagdistill.settings.language import Language

log = logging.getLogger(__name__)


def fetch(settings: Language, split: str, folder: Path, *, language: str = "", root: Path = Path()) -> Path | None:
    """Return the raw file of a split: a path in place, a file downloaded below `folder`, None for the demo.

    A download is complete or absent. Its checksum is the config's `sha256:`, else the one this version knows, else that
    of the lock file of `folder`, which the first download writes. Raises TagdistillError with what to do about it.
    """
    if given := settings.given(split):
        return _in_place(root, str(given.path), settings, f"languages.{language}.{split}" if language else split)
    fetched = load_source(settings.source).fetch(settings, split, language, DownloadFolder(folder))
    if fetched:
        log.info("%s: licence: %s", fetched, licence(settings, fetched))
    return fetched


def _in_place(root: Path, given: str, settings: Language, where: str) -> Path:
    path = root / given
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{what}: {path}", where=where, hint=advice(settings, root))
    return path
