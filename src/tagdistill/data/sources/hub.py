"""Data sets on the Hugging Face hub: the Parquet files of a split, at a pinned commit."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import atomic_path
from tagdistill.data.sources.catalogue import Remote, base_url, hub_place, raw_path, terms_beside
from tagdistill.data.sources.download import NotThere, download
from tagdistill.errors import ConfigError, DataError, TagdistillError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.language import Language, SplitName

SPLITS = {  # what a split is called in the names of files
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "val"),
    "test": ("test",),
    "unlabelled": ("unlabelled", "unlabeled", "unsupervised", "extra"),
}


def hub_files(settings: Language, part: SplitName, language: str, scratch: Path) -> list[Remote]:
    """Return the shards of a split in the order of their names, with the checksums that the hub has of large files.

    Names are as the hub itself gives them: SUBSET/SPLIT-00000-of-00001.parquet, data/SPLIT-..., SUBSET/SPLIT/0000...;
    `scratch` is a folder for the list of files. Raises TagdistillError that shows what there is.
    """
    dataset, revision, subset = hub_place(settings, language)
    listed = _listed(dataset, revision, scratch)
    names = [name for name in sorted(listed) if name.endswith(".parquet")]
    chosen = _of_split(names, subset, part)
    where = f"{base_url('hub')}/datasets/{dataset}"
    if not chosen:
        looked = f"{subset + '/' if subset else ''}{SPLITS[part][0]}"
        hint = f"Check `subset:` and `splits:`. {nearest(looked, names[:60])}" if names else "It has none at all."
        raise TagdistillError(f"no Parquet files of the split {part!r} at this commit", where=where, hint=hint)
    folders = {name.rpartition("/")[0] for name in chosen}
    if len(folders) > 1:
        hint = f"Say `subset:`, one of {', '.join(sorted(folders)[:60])}."
        raise TagdistillError(f"the split {part!r} is there in several subsets", where=where, hint=hint)
    whole = raw_path(settings, part, language)
    kept = [whole] if len(chosen) == 1 else [f"{whole}.parts/{number:04d}" for number in range(len(chosen))]
    known = {0: settings.sha256.get(part)} if len(chosen) == 1 else {}
    if len(chosen) > 1 and part in settings.sha256:
        hint = "Leave it out: the checksums that the hub gives, or those of the lock file, are enforced for each part."
        raise ConfigError(
            f"the split has {len(chosen)} files, and one checksum",
            where=f"languages.{language}.sha256.{part}",
            hint=hint,
        )
    readme = f"datasets/{dataset}/resolve/{revision}/README.md"
    return [
        Remote(
            "hub",
            file,
            (f"datasets/{dataset}/resolve/{revision}/{name}",),
            "parquet",
            known.get(number) or _sha256(listed[name]),
            readme=readme,
            terms=terms_beside(whole),
            headers=_token(),
        )
        for number, (file, name) in enumerate(zip(kept, chosen, strict=True))
    ]


def join(parts: list[Path], out: Path) -> None:
    """Write several Parquet files of one layout as one, row by row, with the first one's account of its features."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(parts[0])
    try:
        with atomic_path(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).replace_schema_metadata(schema.metadata))
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"the parts of this split do not fit together: {error}", where=str(out)) from error


def _listed(dataset: str, revision: str, scratch: Path) -> dict[str, dict[str, Any]]:
    url = f"{base_url('hub')}/api/datasets/{dataset}/revision/{revision}?blobs=true"
    answer = (
        scratch / f"{dataset.replace('/', '--')}-{revision}.{os.getpid()}.json"
    )  # other splits ask at the same time
    try:
        download(url, answer, _token())
        siblings = json.loads(answer.read_text(encoding="utf-8"))["siblings"]
        return {str(item["rfilename"]): item for item in siblings}
    except NotThere as error:
        hint = "Check `dataset:` and `revision:`; one with restricted access needs HF_TOKEN."
        raise TagdistillError("the hub has no such data set at this commit", where=url, hint=hint) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TagdistillError(f"the answer is no list of files ({type(error).__name__})", where=url) from error
    finally:
        answer.unlink(missing_ok=True)


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
