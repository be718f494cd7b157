"""Where raw files come from: a path used in place, a data set that is downloaded, or the demo."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from filelock import FileLock

from tagdistill.artifacts.files import atomic_path, sha256_file, write_text
from tagdistill.data import demo
from tagdistill.data.archives import extract
from tagdistill.data.readers.read import read
from tagdistill.data.sources import catalogue, checksums, hub
from tagdistill.data.sources.catalogue import OWN, WHERE_TO_ASK, Remote, raw_path
from tagdistill.data.sources.download import NotThere, download
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.settings.language import Language

log = logging.getLogger(__name__)
LICENCE_LINE = re.compile(r"^licen[cs]e:[ \t]*(?:\n[ \t]*-[ \t]*)?(\S.*)$", re.IGNORECASE | re.MULTILINE)


def fetch(settings: Language, split: str, folder: Path, *, language: str = "", root: Path = Path()) -> Path | None:
    """Return the raw file of a split: a path in place, a file downloaded below `folder`, None for the demo.

    A download is complete or absent. Its checksum is the config's `sha256:`, else the one this version knows, else that
    of the lock file of `folder`, which the first download writes. Raises TagdistillError with what to do about it.
    """
    if given := settings.given(split):
        return _in_place(root / str(given.path), settings, f"languages.{language}.{split}" if language else split)
    if settings.source == "demo":
        return None
    if settings.source in OWN:
        raise ConfigError(
            f"no {split!r} split",
            where=f"languages.{language}" if language else None,
            hint=WHERE_TO_ASK.get(settings.source, ""),
        )
    fetched = _FETCHERS[settings.source](settings, split, folder, language)
    log.info("%s: licence: %s", fetched, licence(settings, fetched))
    return fetched


def source_name(settings: Language, split: str, source: Path | None) -> str:
    """Return how errors and reports name a source: the path as the config has it, the data set's file, or `demo`."""
    if given := settings.given(split):
        return str(given.path)
    part = settings.part(split)
    if source is None:
        return f"demo {part}"
    if settings.source == "ud":
        return f"UD_{settings.treebank} {settings.release} {part}"
    if settings.source == "hub":
        return " ".join(filter(None, (settings.dataset, (settings.revision or "")[:10], settings.subset, part)))
    return f"{source.name} {part}" if settings.source == "wikiann" else f"{settings.source} {source.name}"


def licence(settings: Language, source: Path | None = None) -> str | None:
    """Return the licence of a language's data as far as it is known: as configured, as stated, or where to read it."""
    if settings.licence:
        return settings.licence
    if settings.source == "demo":
        return demo.licence().strip().splitlines()[0]
    stated = Path(catalogue.terms_beside(str(source))) if source and settings.source not in OWN else None
    if stated and stated.is_file():
        return stated.read_text(encoding="utf-8").strip()
    if settings.source == "ud":
        return (
            f"see https://github.com/UniversalDependencies/UD_{settings.treebank}/blob/{settings.release}/LICENSE.txt"
        )
    if settings.source == "hub":
        return f"see https://huggingface.co/datasets/{settings.dataset}"
    return catalogue.LICENCES.get(settings.source)


def obtain(remote: Remote, folder: Path) -> Path:
    """Return a file below `folder`, downloaded unless it is there already and what it should be."""
    out = folder / remote.file
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f".{out.name}.lock")):  # the splits of several languages may want one archive
        known = remote.sha256 or checksums.recorded(folder, remote.file)
        if known and out.is_file() and sha256_file(out) == known:
            return out
        with atomic_path(out) as temporary:
            fresh = out.with_name(f"{out.name}.new")  # by this name a part of it waits to be continued
            try:
                url = _first(remote, fresh)
                found = sha256_file(fresh)
                if known and found != known:
                    raise _changed(remote, url, known, found, folder)
                if not known:
                    _check_kind(remote.kind, fresh, url)
                fresh.replace(temporary)
            finally:
                fresh.unlink(missing_ok=True)
        if not known:
            checksums.record(folder, remote.file, found)
            log.info("%s: sha256 %s, recorded in %s and enforced from now on", out, found, checksums.NAME)
    if remote.terms and not (folder / remote.terms).is_file():
        _note_terms(remote, folder / remote.terms)
    return out


def _in_place(path: Path, settings: Language, where: str) -> Path:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{what}: {path}", where=where, hint=catalogue.advice(settings))
    return path


def _treebank(settings: Language, split: str, folder: Path, language: str) -> Path:
    return obtain(catalogue.treebank_file(settings, split, language), folder)


def _conll2002(settings: Language, split: str, folder: Path, language: str) -> Path:
    out = folder / raw_path(settings, split, language)
    archive = obtain(catalogue.conll2002_archive(settings), folder)
    extract(archive, catalogue.conll2002_member(settings, settings.part(split), language), out)
    return out


def _wikiann(settings: Language, split: str, folder: Path, language: str) -> Path:
    out = folder / raw_path(settings, split, language)
    member, known = catalogue.wikiann_member(settings, language)
    if known and out.is_file() and sha256_file(out) == known:
        return out
    remote = catalogue.wikiann_archive()
    archive = obtain(remote, folder)
    with atomic_path(out) as temporary:
        extract(archive, member, temporary)
        if known and (found := sha256_file(temporary)) != known:
            raise _changed(remote, f"{remote.urls[0]}: {member}", known, found, folder)
    return out


def _hub(settings: Language, split: str, folder: Path, language: str) -> Path:
    out = folder / raw_path(settings, split, language)
    shards = hub.hub_files(settings, settings.part(split), language, folder)
    parts = [obtain(shard, folder) for shard in shards]
    if len(parts) > 1:
        hub.join(parts, out)
    return out


_FETCHERS = {"ud": _treebank, "conll2002": _conll2002, "wikiann": _wikiann, "hub": _hub}


def _first(remote: Remote, target: Path) -> str:
    """Download the first of a file's addresses that exists, and return it."""
    for url in remote.urls:
        try:
            download(url, target, remote.headers)
            return url
        except NotThere:
            continue
    names = " or ".join(url.rsplit("/", 1)[1] for url in remote.urls)
    mirror = f"A mirror is TAGDISTILL_{remote.source.upper()}_URL; files of your own are `source: path`."
    raise TagdistillError(
        f"no such file: {names}", where=remote.urls[0].rsplit("/", 1)[0], hint=remote.missing or mirror
    )


def _note_terms(remote: Remote, note: Path) -> None:
    """Keep the licence that a data set's README names; where it names none there is nothing to keep."""
    scratch = note.with_name(f".{Path(remote.file).name}.readme")
    try:
        download(f"{catalogue.base_url(remote.source)}/{remote.readme}", scratch, remote.headers)
        found = LICENCE_LINE.search(scratch.read_text(encoding="utf-8", errors="replace"))
        if found:
            write_text(note, found[1].strip().strip("'\"") + "\n")
    except (NotThere, TagdistillError) as error:
        log.warning("%s: its licence could not be read: %s", remote.file, error)
    finally:
        scratch.unlink(missing_ok=True)


def _changed(remote: Remote, url: str, known: str, found: str, folder: Path) -> TagdistillError:
    lock = folder / checksums.NAME
    if remote.file in checksums.read(lock) and checksums.recorded(folder, remote.file) == known:
        accept = f"To accept the new one, remove the line of {remote.file} from {lock}."
    else:
        accept = "To accept the new one, say so in the config: `sha256: {SPLIT: ...}`, or `sha256: {archive: ...}`."
    return TagdistillError(
        f"the SHA-256 is {found}, but should be {known}",
        where=url,
        hint=f"The file changed, or something on the way answered for it; nothing was kept. {accept}",
    )


def _check_kind(kind: str, path: Path, url: str) -> None:
    """Refuse what is no such file (a log-in page, say) before its checksum is recorded."""
    import zipfile

    try:
        if kind == "conllu":
            next(read(path, Language.model_validate({"format": "conllu"}), where=url))
        elif kind == "zip" and not zipfile.is_zipfile(path):
            raise DataError("not a .zip archive")
        elif kind == "parquet":
            _check_parquet(path)
        elif kind.startswith("vec") and path.open("rb").read(64).lstrip()[:1] in (b"<", b""):
            raise DataError("a page of HTML, or nothing")
    except DataError as error:
        raise TagdistillError(
            f"the answer is not {kind}: {error.what}",
            where=url,
            hint="Something on the way may have answered for it; nothing was kept.",
        ) from error


def _check_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(str(error).splitlines()[0]) from error
