"""The `--files` option of the stages: named lists of files, in the order of the job's languages."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.errors import TagdistillError
from tagdistill.formatting import count

if TYPE_CHECKING:
    from tagdistill.distill.dataset import CorpusFiles

Files = Mapping[str, Sequence[Path]]


def read_files(text: str) -> Files:
    """Return the named lists in a JSON text, or in the file that @NAME names. Raises TagdistillError for others."""
    from tagdistill.experiment.jobs import read_argument

    try:
        lists = json.loads(read_argument(text)).items()
        if alone := [name for name, paths in lists if isinstance(paths, str)]:
            raise TypeError(f"{alone[0]!r} is a text, no list")
        return {name: [Path(path) for path in paths] for name, paths in lists}
    except (ValueError, AttributeError, TypeError) as error:
        raise TagdistillError(f"not JSON of named lists of files: {error}", where="--files") from error


def list_of(files: Files, name: str) -> Sequence[Path]:
    """Return one of the lists, which may be empty. Raises TagdistillError where it is missing."""
    if name not in files:
        raise TagdistillError(f"{name}: this list of files is missing", where="--files")
    return files[name]


def all_of(files: Files) -> list[Path]:
    """Return the files of all lists."""
    return [path for paths in files.values() for path in paths]


def by_split(corpora: Iterable[Path], where: str) -> dict[str, Path]:
    """Return corpora by their splits, which name their files. Raises TagdistillError where two are of one.

    >>> by_split([Path("en/train.parquet"), Path("en/test.parquet")], "--files")["test"].name
    'test.parquet'
    """
    found: dict[str, Path] = {}
    for path in corpora:
        if found.setdefault(path.stem, path) != path:
            hint = "Give the corpora of one language."
            raise TagdistillError(f"{found[path.stem]} and {path} are both of {path.stem!r}", where=where, hint=hint)
    return found


def keys_of(text: str, splits: Collection[str]) -> dict[str, str] | None:
    """Return the key of each split from keys with commas between; None for no text. Raises TagdistillError for others.

    >>> keys_of("a,b", ["train", "test"])
    {'train': 'a', 'test': 'b'}
    """
    keys = text.split(",") if text else []
    if keys and len(keys) != len(splits):
        what = f"{count(len(keys), 'key')} for {count(len(splits), 'file')}"
        hint = "Give one for each, in their order, or leave --keys out."
        raise TagdistillError(what, where="--keys", hint=hint)
    return dict(zip(splits, keys, strict=True)) if keys else None


def corpus_files(
    languages: Sequence[str], files: Files, split: str, shares: Mapping[str, Sequence[float]] | None = None
) -> list[CorpusFiles]:
    """Return the files of some languages' corpora, from the lists named SPLIT, SPLIT_features, SPLIT_targets, ...

    A list that is absent or empty leaves that part out for all languages. `shares` has the weights of the teachers of
    languages that have several, whose scores follow one another. Raises TagdistillError for a list of another length.
    """
    from tagdistill.distill.dataset import CorpusFiles

    if languages and not files.get(split):
        raise TagdistillError(f"{split}: the corpora of {', '.join(languages)} are missing", where="--files")
    corpora, features, states, targets = (
        _one_each(languages, files, f"{split}{part}") for part in ("", "_features", "_states", "_targets")
    )
    several = {language: len((shares or {}).get(language, (1.0,))) for language in languages}
    takers = [language for language, number in several.items() for _ in range(number)]
    scores: dict[str, list[Path]] = {}
    for language, path in _pairs("language", takers, files, f"{split}_scores"):
        scores.setdefault(language, []).append(path)
    vectors = next(iter(files.get("vectors", ())), None)
    return [
        CorpusFiles(
            language,
            corpora[language],
            features=store_of(features.get(language), split),
            states=store_of(states.get(language), split),
            targets=targets.get(language),
            scores=next(iter(scores.get(language, ())), None),
            other_scores=tuple(scores.get(language, ())[1:]),
            shares=tuple((shares or {}).get(language, ())),
            vectors=vectors,
        )
        for language in languages
    ]


def store_of(features: Path | None, split: str) -> Path | None:
    """Return the feature store of a split: a file, or the one of that name in the folder of a language's stores."""
    return features / f"{split}.safetensors" if features and features.is_dir() else features


def gate_files(gated: Mapping[str, Iterable[str]], files: Files) -> tuple[dict[str, Path], Path]:
    """Return the training.json of each teacher of some languages, and that of the student without teachers.

    Raises TagdistillError where one is missing.
    """
    names = sorted({name for teachers in gated.values() for name in teachers})
    teachers, baseline = dict(_pairs("teacher", names, files, "gate_teachers")), files.get("gate_baseline", ())
    if not teachers or len(baseline) != 1:
        what = (
            "`gate: soft` needs the training.json of each teacher (gate_teachers) and of one baseline (gate_baseline)"
        )
        raise TagdistillError(what, where="--files")
    return teachers, baseline[0]


def _one_each(languages: Sequence[str], files: Files, name: str) -> dict[str, Path]:
    """Return the file of each language from one of the lists; none where the list is absent or empty."""
    return dict(_pairs("language", languages, files, name))


def _pairs(kind: str, owners: Sequence[str], files: Files, name: str) -> list[tuple[str, Path]]:
    """Return the owners (kind: such as "language") of the files of one of the lists; none where it is absent."""
    paths = files.get(name, ())
    if paths and len(paths) != len(owners):
        what = f"{name}: {count(len(paths), 'file')} for {count(len(owners), kind)}"
        raise TagdistillError(what, where="--files")
    return list(zip(owners, paths, strict=False))
