"""How long a job may take and how much disk it may need: from the benchmarks and results of earlier runs."""

from __future__ import annotations

import re
from csv import DictReader
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import folder_size
from tagdistill.artifacts.stored_file import stored
from tagdistill.encoders.keys import layers_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tagdistill.workflow.dry_run import Job

# Wildcards whose other values tell little about the size: another encoder's features, another download.
UNLIKE = ("encoder", "features", "raw", "vectors")
BENCHMARKS = "benchmarks"  # benchmarks/EXPERIMENT/RULE/JOB.tsv, where JOB may be in folders of its own


@dataclass(frozen=True)
class Estimate:
    """Seconds or bytes of a job; `foreign` if they are those of other settings. None: nothing is known."""

    value: float | None
    foreign: bool = False


UNKNOWN = Estimate(None)


@dataclass(frozen=True)
class Total:
    """The sum of several estimates; `unknown` counts those without a value."""

    value: float
    known: int
    unknown: int
    foreign: bool


def total(estimates: Iterable[Estimate]) -> Total:
    """Return the sum of what is known."""
    every = list(estimates)
    values = [each.value for each in every if each.value is not None]
    return Total(sum(values), len(values), len(every) - len(values), any(each.foreign for each in every))


def seconds(rule: str, benchmark: str | Path) -> Estimate:
    """Return how long a job of a rule may take; `benchmark` is where its time is or would be written.

    That is its own last time, else the mean of its rule in the experiment, else the mean in other experiments.
    """
    path = Path(benchmark)
    experiment = next((folder for folder in path.parents if folder.parent.name == BENCHMARKS), None)
    if experiment is None or path.parent == experiment or not experiment.parent.is_dir():
        return UNKNOWN
    own = _benchmarks(experiment, rule)
    if own:
        return Estimate(own.get(str(path)) or fmean(own.values()))
    folders = sorted(experiment.parent.iterdir())
    others = [value for folder in folders for value in _benchmarks(folder, rule).values()]
    return Estimate(fmean(others), foreign=True) if others else UNKNOWN


@cache
def _benchmarks(folder: Path, rule: str) -> dict[str, float]:
    """Return the seconds of each earlier job of a rule in one experiment's folder, by path."""
    found = {}
    for path in sorted(path for path in (folder / rule).rglob("*.tsv") if path.is_file()):
        with stored(path, "a benchmark"), path.open(encoding="utf-8", newline="") as handle:
            rows = [row["s"] for row in DictReader(handle, delimiter="\t")]
        if rows and re.fullmatch(r"\d+(\.\d*)?", rows[-1]):
            found[str(path)] = float(rows[-1])
    return found


def size(job: Job) -> Estimate:
    """Return the bytes that a job may add: the mean size of like results; files that it replaces add nothing."""
    sizes = [_file_size(file, job.wildcards) for file in job.output if not Path(file).exists()]
    if any(each.value is None for each in sizes):
        return UNKNOWN
    whole = total(sizes)
    return Estimate(whole.value, whole.foreign)


def _file_size(file: str, wildcards: Mapping[str, str]) -> Estimate:
    everything = _pattern(file, wildcards)
    like = _pattern(file, {name: value for name, value in wildcards.items() if name not in UNLIKE})
    layers = layers_in(file)
    if sizes := _sizes(like):
        return Estimate(round(layers * fmean(sizes)))
    sizes = _sizes(everything) or _sizes(str(Path(everything).with_name(f"*{Path(file).suffix}")))
    return Estimate(round(layers * fmean(sizes)), foreign=like != everything) if sizes else UNKNOWN


def _pattern(file: str, wildcards: Mapping[str, str]) -> str:
    """Return a glob of the results that the same rule makes for other languages, seeds and experiments."""
    parts = Path(file).parts
    values = set(wildcards.values())
    experiment = "*" if parts[0] == "results" else parts[1]
    return str(Path(parts[0], experiment, *(_part_pattern(part, values) for part in parts[2:])))


def _part_pattern(part: str, values: set[str]) -> str:
    if part in values:
        return "*"
    stem, dot, ending = part.partition(".")
    if stem in values:
        return "*" + dot + ending
    return re.sub(r"(?<=-)\d+$", "*", part)  # seed-0


@cache
def _sizes(pattern: str) -> list[float]:
    """Return the bytes of each result, of features for each layer that they hold."""
    paths = [path for path in sorted(Path().glob(pattern)) if not fnmatchcase(path.name, ".*")]
    return [folder_size(path) / layers_in(str(path)) for path in paths]
