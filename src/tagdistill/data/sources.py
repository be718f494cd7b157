"""Where raw files come from: a path used in place, a treebank of Universal Dependencies, or the demo."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from tagdistill.data import demo
from tagdistill.data.readers import read
from tagdistill.data.treebanks import Treebank
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.files import atomic_path, sha256_file, write_text
from tagdistill.settings import Language

log = logging.getLogger(__name__)
UD_URL = "https://raw.githubusercontent.com/UniversalDependencies"
RETRIES = 2
TIMEOUT = 60  # seconds without an answer


def fetch(settings: Language, split: str, out: Path, *, language: str = "", root: Path = Path()) -> Path | None:
    """Return the raw file of a split: a path in place, a treebank file downloaded to `out`, None for the demo.

    A download is complete or absent. Its checksum is the config's `sha256:`, else the one in `out`.sha256, which the
    first download writes and later ones must meet. Raises TagdistillError with what to do about it.
    """
    if given := settings.split(split):
        return _in_place(root / given.path, f"languages.{language}.{split}" if language else split)
    if settings.source == "demo":
        return None
    if settings.source == "ud":
        return _treebank_file(Treebank.of(settings, language), split, settings.sha256.get(split), out)
    raise ConfigError(f"no {split!r} split", where=f"languages.{language}" if language else None)


def source_name(settings: Language, split: str, source: Path | None) -> str:
    """Return how errors and reports name a source: the path as the config has it, the treebank file, or `demo`."""
    if given := settings.split(split):
        return given.path
    if source is None:
        return f"demo {split}"
    if settings.source == "ud":
        return f"UD_{settings.treebank} {settings.release} {split}"
    return source.name


def licence(settings: Language) -> str | None:
    """Return the licence of a language's data as far as it is known: as configured, or where to read it."""
    if settings.licence:
        return settings.licence
    if settings.source == "demo":
        return demo.licence().strip().splitlines()[0]
    if settings.source == "ud":
        return (
            f"see https://github.com/UniversalDependencies/UD_{settings.treebank}/blob/{settings.release}/LICENSE.txt"
        )
    return None


def _in_place(path: Path, where: str) -> Path:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{what}: {path}", where=where, hint="Relative paths start at `root:` of the config.")
    return path


def _treebank_file(treebank: Treebank, split: str, sha256: str | None, out: Path) -> Path:
    recorded = out.with_name(f"{out.name}.sha256")
    known = sha256 or _recorded(recorded)
    if known and out.is_file() and known == sha256_file(out):
        return out
    base = os.environ.get("TAGDISTILL_UD_URL", UD_URL).rstrip("/")
    urls = [f"{base}/{path}" for path in treebank.files(split)]
    advice = f"`release:` and `sha256:` of {treebank.name}; to accept another file, remove {recorded}."
    with atomic_path(out) as temporary:
        url = _download(urls, temporary, known, advice)
        if not url:
            raise _missing(urls, treebank)
        if not known:
            _check_conllu(temporary, url)
    found = sha256_file(out)
    if not known:
        log.info("%s: sha256 %s, recorded in %s and enforced from now on", out, found, recorded.name)
    write_text(recorded, f"{found}  {out.name}\n")
    return out


def _recorded(path: Path) -> str | None:
    """Return the checksum of an earlier download, in the layout of `sha256sum`."""
    if not path.is_file():
        return None
    words = path.read_text(encoding="utf-8").split()
    if not words or not re.fullmatch(r"[0-9a-f]{64}", words[0]):
        raise DataError("holds no SHA-256", where=str(path), hint="Remove it; the next download writes a new one.")
    return words[0]


def _download(urls: list[str], target: Path, sha256: str | None, advice: str) -> str | None:
    """Download the first of the names that exists and return its URL; None if the server has none of them."""
    from requests import HTTPError, RequestException

    for url in urls:
        try:
            _retrieve(url, target, sha256)
            return url
        except _NotThere:
            continue
        except ValueError as error:  # pooch: the checksum differs
            raise _failed(
                url, f"the checksum is not {sha256}", f"The file changed, or a proxy answered. Check {advice}"
            ) from error
        except HTTPError as error:
            raise _failed(url, f"the server answered {_status(error)}") from error
        except RequestException as error:
            raise _failed(url, f"no complete answer ({type(error).__name__})") from error
    return None


def _retrieve(url: str, target: Path, sha256: str | None) -> None:
    import pooch
    from requests import HTTPError

    download = pooch.HTTPDownloader(timeout=TIMEOUT)

    def once(url: str, file: str, registry: object) -> None:
        try:
            download(url, file, registry)
        except HTTPError as error:
            if _status(error) == 404:  # trying again would not help
                raise _NotThere from error
            raise

    log.info("fetching %s", url)
    pooch.get_logger().setLevel(logging.ERROR)  # it writes to stderr on its own, and names temporary files
    shelf = pooch.create(target.parent, base_url="", registry={target.name: sha256}, urls={target.name: url})
    shelf.retry_if_failed = RETRIES
    shelf.fetch(target.name, downloader=once)
    target.chmod(0o644)  # pooch leaves the mode of a private temporary file


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


class _NotThere(Exception):
    """The server has no such file."""


def _failed(url: str, what: str, hint: str = "") -> TagdistillError:
    general = "Try again later, or set TAGDISTILL_UD_URL to a mirror; a file of your own is `source: path`."
    return TagdistillError(what, where=url, hint=f"{hint or general} Nothing was kept.")


def _missing(urls: list[str], treebank: Treebank) -> TagdistillError:
    return TagdistillError(
        f"no such file: {' or '.join(url.rsplit('/', 1)[1] for url in urls)}",
        where=urls[0].rsplit("/", 1)[0],
        hint=f"Check `treebank: {treebank.name}` and `release: {treebank.release}`; not every treebank has train and "
        "dev: name those it has with `splits: [test]`. A file of your own is `source: path`.",
    )


def _check_conllu(path: Path, url: str) -> None:
    """Refuse what is no treebank (a log-in page, say) before its checksum is recorded."""
    try:
        next(read(path, Language.model_validate({"format": "conllu"}), where=url))
    except DataError as error:
        raise _failed(url, f"the answer is not CoNLL-U: {error.what}") from error
