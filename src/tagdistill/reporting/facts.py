"""The facts of the report besides the scores: training runs, data, time, sizes and hashes; None where missing."""

from __future__ import annotations

import csv
import json
import logging
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow.parquet as pq

from tagdistill.artifacts.files import check_kind, folder_size, read_json, read_mapping, sha256_file
from tagdistill.artifacts.stored_file import stored, whole_text
from tagdistill.data.repeats import FORMAT, KIND
from tagdistill.encoders.store import read_metadata
from tagdistill.errors import DataError
from tagdistill.experiment import layout
from tagdistill.experiment.runs import Runs
from tagdistill.settings.language import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tagdistill.experiment.runs import Model
    from tagdistill.settings.experiment import Experiment

log = logging.getLogger(__name__)
Reports: TypeAlias = "Mapping[str, Mapping[str, Any]]"  # the data report of each language
Repeats: TypeAlias = "Mapping[str, Mapping[str, Any]]"  # of each language's test set, see `data.repeats`
NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial|research use", re.IGNORECASE)
MAX_HASHED_BYTES = 256 * 2**20  # fine-tuned encoders are not read through for a report


@dataclass(frozen=True)
class Run:
    """How one model was trained: its log (one line per logged update) and its summary."""

    model: Model
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None  # of model.safetensors
    damage: str | None = None  # of the log: what is wrong with it, and where; then the history is empty


@dataclass(frozen=True)
class Stage:
    """The time of all jobs of one stage, from Snakemake's benchmarks."""

    name: str
    jobs: int
    seconds: float
    longest: float
    memory_mb: float | None  # the largest resident set of a job


def read_runs(results: Path, models: Iterable[Model]) -> list[Run]:
    """Return the runs of the models whose folder holds a log or a summary."""
    return [_read_run(results / model.name, model) for model in models if (results / model.name).is_dir()]


def _read_run(folder: Path, model: Model) -> Run:
    history, damage = _history(folder / "metrics.jsonl")
    summary = folder / "training.json"
    return Run(
        model,
        history,
        read_mapping(summary) if summary.exists() else {},
        _small_hash(folder / "model" / "model.safetensors"),
        damage,
    )


def _small_hash(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() and path.stat().st_size < MAX_HASHED_BYTES else None


def _history(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """Return the lines of a log, and what is wrong with it: no scores depend on it, so that a report needs no other."""
    if not path.exists():
        return [], None
    try:
        return _read_log(path), None
    except DataError as error:
        log.warning("warning: %s: %s; its curve is left out of the report", error.where, error.what)
        return [], f"{error.where}: {error.what}"


def _read_log(path: Path) -> list[dict[str, Any]]:
    lines = whole_text(path, "a training log").splitlines()
    return [_log_line(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def _log_line(text: str, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"not readable as JSON: {error}", where=where) from error
    if not isinstance(line, dict) or not isinstance(line.get("update"), int):
        raise DataError("not a line of a training log: it has no number of the update", where=where)
    return line


def read_repeats(results: Path, experiment: Experiment) -> Repeats:
    """Return the repeats of each test set (see `data.repeats`), in the config's order; none where they are missing."""
    path = results / "data" / "repeats.json"
    found: Repeats = check_kind(read_json(path), KIND, FORMAT, path)["languages"] if path.exists() else {}
    return {x: found[x] for x in (*experiment.languages, *experiment.zero_shot) if x in found}


def read_data_reports(results: Path, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Return the data report of each language, in config order, as far as they exist."""
    paths = {x: results / "data" / x / "report.json" for x in (*experiment.languages, *experiment.zero_shot)}
    return {language: read_mapping(path, "splits") for language, path in paths.items() if path.exists()}


def splits(reports: Reports) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the language, name and facts of each split, in the order of the reports and of SPLITS."""
    for language, report in reports.items():
        for split in SPLITS:
            if split in report.get("splits", {}):
                yield language, split, report["splits"][split]


def licences(experiment: Experiment, reports: Reports) -> dict[str, str | None]:
    """Return the licence of each language's data, from the settings or the data report; None if not stated."""
    texts: dict[str, str | None] = {}
    for language, settings in {**experiment.languages, **experiment.zero_shot}.items():
        stated = [split.get("licence") for split in reports.get(language, {}).get("splits", {}).values()]
        known = list(dict.fromkeys(str(x) for x in ([settings.licence] if settings.licence else stated) if x))
        texts[language] = "; ".join(known) or None
    return texts


def non_commercial(licence: str | None) -> bool:
    """Return whether a licence forbids commercial use, judging by its name."""
    return bool(licence and NON_COMMERCIAL.search(licence))


def read_stages(benchmarks: Path | None) -> list[Stage]:
    """Return the time by stage from benchmarks/NAME/STAGE/**.tsv, the longest first."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    if benchmarks is not None and benchmarks.is_dir():
        for path in sorted(benchmarks.rglob("*.tsv")):
            if not path.is_file():  # a link to the benchmark of a job that has not run
                continue
            with stored(path, "a benchmark"), path.open(encoding="utf-8", newline="") as file:
                stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
                times = list(csv.DictReader(file, delimiter="\t"))
            if not any(_number(job.get("s")) is not None for job in times):
                log.warning("warning: %s: no time in it: the report's times are without this job", path)
            rows[stage] += times
    return sorted((_stage(name, jobs) for name, jobs in rows.items()), key=lambda stage: (-stage.seconds, stage.name))


def _stage(name: str, jobs: list[dict[str, str]]) -> Stage:
    seconds = [x for job in jobs if (x := _number(job.get("s"))) is not None]
    memory = [x for job in jobs if (x := _number(job.get("max_rss"))) is not None]
    return Stage(name, len(jobs), sum(seconds), max(seconds, default=0.0), max(memory, default=None))


def _number(text: str | None) -> float | None:
    # Snakemake writes "-" or "NA" for what it could not measure.
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def target_sizes(results: Path, experiment: Experiment, decoders: Iterable[str]) -> list[dict[str, Any]]:
    """Return the sentences, words, bytes and bytes per word of each file of targets."""
    sizes = []
    wanted = [*decoders]
    for decoder, language, corpus, mixture in Runs(experiment).targets:
        path = results / layout.targets(language, decoder, corpus, layout.average_of(mixture, language))
        if decoder in wanted and path.exists():
            of = f"{language} by {mixture.name}" if experiment.teachers else language
            sizes.append({"language": of, "decoder": decoder, "corpus": corpus, **_size(path)})
    return sizes


def _size(path: Path) -> dict[str, Any]:
    with stored(path, "Parquet"):
        lengths = pq.read_table(path, columns=["length"])["length"]
    words, size = sum(lengths.to_pylist()), path.stat().st_size
    return {"sentences": len(lengths), "words": words, "bytes": size, "bytes_per_word": size / max(words, 1)}


def piece_counts(results: Path, experiment: Experiment) -> dict[tuple[str, str], dict[str, int]]:
    """Return what the tokenizer did not know or cut, by language and split, as counted when the features were made."""
    titles = {
        "unknown_words": "words with an unknown piece",
        "split_sentences": "sentences split into windows",
        "cut_words": "words truncated",
    }
    by_split = {}
    for language in (*experiment.languages, *experiment.zero_shot):
        stores = (results / "features").glob(f"*/{language}/*.safetensors")
        for path in sorted(path for path in stores if path.is_file()):  # a link may lead to one that was removed
            counts = read_metadata(path).get("counts", {})
            by_split[language, path.stem] = {titles[name]: n for name, n in counts.items() if name in titles and n}
    return by_split


def feature_sizes(results: Path, experiment: Experiment) -> dict[str, int]:
    """Return the bytes of the stored features by encoder, for the languages of the experiment only."""
    sizes: dict[str, int] = {}
    for encoder in sorted(x for x in (results / "features").glob("*") if x.is_dir()):
        languages = [encoder / x for x in (*experiment.languages, *experiment.zero_shot)]
        sizes[encoder.name] = sum(folder_size(folder) for folder in languages if folder.is_dir())
    return {name: size for name, size in sizes.items() if size}
