"""Check the files of a new language and write the lines that add it to a config."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tagdistill.config import check_experiment, needs_of, read_yaml
from tagdistill.errors import ConfigError
from tagdistill.settings import SPLITS, Experiment, Language


def add_language(config: Path, key: str, settings: Mapping[str, Any], *, zero_shot: bool = False) -> str:
    """Return what to tell: what the files hold, the lines to paste, and the command to run.

    `settings` are those of a language in a config (`format`, `train`, ...); its paths start at the working folder.
    Every file is read whole, as the workflow will read it. Raises TagdistillError with file and line for what it
    could not read, and ConfigError for a language that is there already.
    """
    group = "zero_shot" if zero_shot else "languages"
    values = read_yaml(config)
    before = check_experiment(values, str(config))
    if key in before.languages or key in before.zero_shot:
        where = "languages" if key in before.languages else "zero_shot"
        raise ConfigError("this language is in the config already", where=f"{config}: {where}.{key}")
    for split in SPLITS:
        if settings.get(split) and not Path(settings[split]).is_file():
            raise ConfigError(f"no such file: {settings[split]}", where=f"--{split}")
    own = {**settings, **{x: _below(Path(settings[x]), Path(before.root)) for x in SPLITS if settings.get(x)}}
    after = check_experiment({**values, group: {**values.get(group, {}), key: own}}, str(config))
    language = {**after.languages, **after.zero_shot}[key]
    told = [_read(after, key, language, split) for split in SPLITS if language.split(split)]
    return "\n".join(
        [
            *told,
            "",
            *_lines(config, group, key, own, new=group not in values),
            "",
            *_next(config, before, zero_shot=zero_shot),
        ]
    )


def _below(path: Path, root: Path) -> str:
    """Return a path as the config writes it: relative to `root` where it lies below it."""
    full, start = Path(os.path.abspath(path)), Path(os.path.abspath(root))  # noqa: PTH100 (links stay links)
    return str(full.relative_to(start)) if full.is_relative_to(start) else str(full)


def _read(experiment: Experiment, key: str, language: Language, split: str) -> str:
    """Read a file as the workflow will, and say what it holds."""
    from tagdistill.data.corpus import read_corpus
    from tagdistill.data.prepare import prepare
    from tagdistill.data.sources import fetch

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"{split}.parquet"
        source = fetch(language, split, out, language=key, root=Path(experiment.root))
        prepare(
            source, out, language=key, split=split, settings=language, task=experiment.task, labels=experiment.labels
        )
        corpus = read_corpus(out)
    repaired = corpus.metadata["counts"]["repaired"]
    note = f", {repaired} spans repaired (such as {corpus.metadata['repaired_places'][0]})" if repaired else ""
    words = sum(map(len, corpus.tokens))
    return f"{split}: {len(corpus.tokens)} sentences, {words} words{_labels(corpus.labels)}{note}"


def _labels(labels: list[list[str]] | None) -> str:
    found = sorted({label.split("-", 1)[-1] for sentence in labels or [] for label in sentence if label != "O"})
    return f", labelled {', '.join(found)}" if found else ""


def _lines(config: Path, group: str, key: str, settings: Mapping[str, Any], *, new: bool) -> list[str]:
    block = yaml.safe_dump(
        {key: dict(settings)}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    head = [f"Add to {config}", "", f"{group}:"] if new else [f"Add to {config}, below `{group}:`", ""]
    return [*head, *(f"  {line}" for line in block.rstrip().splitlines())]


def _next(config: Path, before: Experiment, *, zero_shot: bool) -> list[str]:
    students = len(before.distill.objectives) * len(before.seeds)
    if zero_shot:
        trains = "No model is trained: all are scored on it."
    elif any(needs_of(objective) for objective in before.distill.objectives):
        trains = f"It trains the language's own teacher and the {students} students; no other teacher is touched."
    else:
        trains = f"It trains the {students} students."
    return ["and run", "", f"  snakemake --cores 2 --configfile {config}", "", trains]
