"""Any data set on the Hugging Face hub that has Parquet files, at a commit."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import atomic_path
from tagdistill.data.sources.remote import Host, NotThere, Remote, terms_beside
from tagdistill.data.sources.source import Fetched
from tagdistill.errors import ConfigError, DataError, TagdistillError, nearest
from tagdistill.settings.commit import HINT, check_commit

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.data.sources.remote import Downloads
    from tagdistill.settings.language import Language, SplitName

HOST = Host("hub", "https://huggingface.co")
DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\Z")
SUBSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
SPLITS = {  # what a split is called in the names of files
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "val"),
    "test": ("test",),
    "unlabelled": ("unlabelled", "unlabeled", "unsupervised", "extra"),
}
MAX_NAMES = 60  # that a message lists


class Hub(Fetched):
    """The Parquet files of a split, found by the hub's own names; several are joined into one."""

    format = "parquet"

    def language_code(self, settings: Language, language: str) -> str | None:
        """Return None: data set, subset and revision name the files."""
        return None

    def raw_path(self, settings: Language, split: str, language: str) -> str:
        """Return hub/OWNER/NAME/COMMIT/SUBSET/SPLIT.parquet. Raises ConfigError where one of them is not pinned."""
        dataset, revision, subset = _place(settings, language)
        return "/".join(["hub", dataset, revision, *([subset] if subset else []), f"{settings.part(split)}.parquet"])

    def fetch(self, settings: Language, split: str, language: str, downloads: Downloads) -> Path:
        """Return the file of a split."""
        out = self.raw_path(settings, split, language)
        parts = [downloads.obtain(shard) for shard in _shards(settings, split, language, out, downloads)]
        if len(parts) > 1:
            join(parts, downloads.folder / out)
        return downloads.folder / out

    def title(self, settings: Language, split: str, file: Path | None) -> str:
        """Return data set, the start of the commit, subset and split."""
        revision = (settings.revision or "")[:10]
        return " ".join(filter(None, (settings.dataset, revision, settings.subset, settings.part(split))))

    def known_licence(self, settings: Language) -> str:
        """Return where the licence of the data set is."""
        return f"see https://huggingface.co/datasets/{settings.dataset}"


def _place(settings: Language, language: str) -> tuple[str, str, str]:
    """Return repository, revision and subset (may be empty) of a data set on the hub."""
    where = f"languages.{language}"
    dataset, revision, subset = settings.dataset or "", settings.revision or "", settings.subset or ""
    if not DATASET.match(dataset):
        what = f"{dataset!r} is not OWNER/NAME" if dataset else "source 'hub' needs `dataset:`"
        raise ConfigError(what, where=f"{where}.dataset", hint="Such as unimelb-nlp/wikiann.")
    if not revision:
        raise ConfigError("source 'hub' needs `revision:`", where=f"{where}.revision", hint=HINT)
    check_commit(revision, f"{where}.revision")
    if subset and not SUBSET.match(subset):
        raise ConfigError(f"{subset!r} is not the name of a subset", where=f"{where}.subset")
    return dataset, revision, subset


def _shards(settings: Language, split: str, language: str, out: str, downloads: Downloads) -> list[Remote]:
    """Return the files that make up a split, in the order of their names, with the hub's checksums of large files.

    Names are as the hub itself gives them: SUBSET/SPLIT-00000-of-00001.parquet, data/SPLIT-..., SUBSET/SPLIT/0000...
    Raises TagdistillError that shows what there is.
    """
    dataset, revision, subset = _place(settings, language)
    part = settings.part(split)
    listed = _listed(dataset, revision, downloads)
    chosen = _chosen(sorted(listed), subset, part, f"{HOST.url}/datasets/{dataset}")
    own = settings.sha256.get(part)
    if own and len(chosen) > 1:
        raise ConfigError(
            f"the split has {len(chosen)} files, and one checksum",
            where=f"languages.{language}.sha256.{part}",
            hint="Leave it out: the checksums of the hub, or those of the lock file, are enforced for each part.",
        )
    kept = [out] if len(chosen) == 1 else [f"{out}.parts/{number:04d}" for number in range(len(chosen))]
    place = f"datasets/{dataset}/resolve/{revision}"
    return [
        Remote(
            HOST,
            file,
            (f"{place}/{name}",),
            "parquet",
            _check_parquet,
            own or _sha256(listed[name]),
            readme=f"{place}/README.md",
            terms=terms_beside(out),
            headers=_token(),
        )
        for file, name in zip(kept, chosen, strict=True)
    ]


def _chosen(listed: list[str], subset: str, part: SplitName, where: str) -> list[str]:
    """Return the Parquet files of a split. Raises TagdistillError where there are none, or those of several subsets."""
    names = [name for name in listed if name.endswith(".parquet")]
    chosen = _of_split(names, subset, part)
    if not chosen:
        wanted = f"{subset + '/' if subset else ''}{SPLITS[part][0]}"
        known = f"Check `subset:` and `splits:`. {nearest(wanted, names[:MAX_NAMES])}"
        hint = known if names else "It has none at all."
        raise TagdistillError(f"no Parquet files of the split {part!r} at this commit", where=where, hint=hint)
    folders = {name.rpartition("/")[0] for name in chosen}
    if len(folders) > 1:
        hint = f"Say `subset:`, one of {', '.join(sorted(folders)[:MAX_NAMES])}."
        raise TagdistillError(f"the split {part!r} is there in several subsets", where=where, hint=hint)
    return chosen


def _check_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(str(error).splitlines()[0]) from error


def join(parts: list[Path], out: Path) -> None:
    """Write several Parquet files of one layout as one, row by row, with the metadata of the first one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(parts[0])
    try:
        with atomic_path(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).replace_schema_metadata(schema.metadata))
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"the parts of this split do not fit together: {error}", where=str(out)) from error


def _listed(dataset: str, revision: str, downloads: Downloads) -> dict[str, dict[str, Any]]:
    """Return the hub's entry of each file of a data set, by its name."""
    url = f"{HOST.url}/api/datasets/{dataset}/revision/{revision}?blobs=true"
    try:
        siblings = json.loads(downloads.answer(url, _token()))["siblings"]
        return {str(item["rfilename"]): item for item in siblings}
    except NotThere as error:
        hint = "Check `dataset:` and `revision:`; one with restricted access needs HF_TOKEN."
        raise TagdistillError("the hub has no such data set at this commit", where=url, hint=hint) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TagdistillError(f"the answer is no list of files ({type(error).__name__})", where=url) from error


def _of_split(names: list[str], subset: str, part: str) -> list[str]:
    """Return the files of a split: of the first of its names that there is, below the subset if one is asked for."""
    for split in SPLITS[part]:
        pattern = re.compile(rf"(?:.*/)?{split}(?:(?:-\d+-of-\d+(?:-[0-9a-f]+)?)?|/[^/]+)\.parquet\Z")
        found = [name for name in names if pattern.match(name) and (not subset or subset in name.split("/")[:-1])]
        if found:
            return found
    return []


def _sha256(item: dict[str, Any]) -> str | None:
    found = (item.get("lfs") or {}).get("sha256")
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found) else None


def _token() -> dict[str, str]:
    token = os.environ.get("HF_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


SOURCE = Hub()
