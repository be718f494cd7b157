"""What a run would do, for a person: how many jobs of each stage, why, how long and how much disk.

Snakemake plans (a dry run); times are those of earlier runs' benchmarks, sizes those of earlier results.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from csv import DictReader
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import folder_size
from tagdistill.errors import TagdistillError
from tagdistill.formatting import disk, duration
from tagdistill.workflow.rerun_reasons import NOT_THERE, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STAGES = (
    *("fetch", "convert_encoder", "convert_vectors", "prepare", "data_report", "encode", "train_teacher", "score"),
    *("export_targets", "train_student", "evaluate_student", "evaluate_teacher", "report", "export_student"),
)
NAMED = 4  # jobs of a group that are named; the rest are counted
ALIEN = ("encoder", "features", "raw", "vectors")  # wildcards: what another value of them made says little of the size


@dataclass(frozen=True)
class Job:
    """One job that Snakemake would run; `benchmark` is where its time would be written."""

    rule: str
    wildcards: Mapping[str, str]
    reason: str
    output: Sequence[str]
    benchmark: str

    @property
    def name(self) -> str:
        return " ".join(value for key, value in self.wildcards.items() if key not in ("features", "encoder"))


@dataclass
class Group:
    """Jobs of one stage that run for one reason."""

    rule: str
    why: str
    jobs: list[Job] = field(default_factory=list)


def dry_run(arguments: Sequence[str]) -> list[Job]:
    """Return the jobs that `snakemake ARGUMENTS` would run. Raises TagdistillError with what Snakemake says."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "jobs"
        logger = ("--logger", "tagdistill", "--logger-tagdistill-file", str(told))
        command = [sys.executable, "-m", "snakemake", *arguments, "--dry-run", *logger]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise TagdistillError(_said(done.stdout), where="snakemake")
        return read_jobs(told)


def read_jobs(file: Path) -> list[Job]:
    """Return the jobs that the logger plug-in wrote; none where it wrote no file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [each.name for each in fields(Job)]
    return [Job(**{name: job[name] for name in names}) for job in map(json.loads, lines)]


def _said(text: str) -> str:
    # Snakemake ends with its message, and begins with lines on profiles and the host.
    lines = [
        line for line in text.splitlines() if line.strip() and not line.startswith(("Using ", "host:", "Assuming"))
    ]
    return "\n  ".join(lines[-8:]) or "it failed without a word"


def groups(jobs: Sequence[Job]) -> list[Group]:
    """Return the jobs by stage and reason, in the order of the stages."""
    found: dict[tuple[str, str], Group] = {}
    for job in jobs:
        if job.output:  # the others are names for several files
            why = _why(job)
            found.setdefault((job.rule, why), Group(job.rule, why)).jobs.append(job)
    order = {rule: number for number, rule in enumerate(STAGES)}
    return sorted(found.values(), key=lambda group: order.get(group.rule, len(order)))


def _why(job: Job) -> str:
    """Return why a job runs; where some of its files are there, such as scores in other languages, which are not."""
    why = explain(job.reason, job.rule)
    missing = sorted({Path(file).stem for file in job.output if not Path(file).exists()})
    if why != NOT_THERE or len(missing) == len({Path(file).stem for file in job.output}):
        return why
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return f"{NOT_THERE}: {', '.join(missing[:NAMED])}{more}"


# -- how long and how much


@cache
def _benchmarks(folder: Path, rule: str) -> dict[str, float]:
    """Return the seconds of each earlier job of a rule: of one experiment's folder, by path."""
    found = {}
    for path in sorted((folder / rule).rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as handle:
            rows = [row["s"] for row in DictReader(handle, delimiter="\t")]
        if rows and re.fullmatch(r"[\d.]+", rows[-1]):
            found[str(path)] = float(rows[-1])
    return found


def seconds(job: Job) -> tuple[float | None, bool]:
    """Return how long a job may take, and whether that is known from other experiments alone."""
    path = Path(job.benchmark)
    parts = path.parts
    if len(parts) < 3 or not Path(parts[0]).is_dir():
        return None, False
    own = _benchmarks(Path(*parts[:2]), job.rule)
    if job.benchmark in own or own:
        return own.get(job.benchmark) or fmean(own.values()), False
    others = [s for folder in sorted(Path(parts[0]).iterdir()) for s in _benchmarks(folder, job.rule).values()]
    return (fmean(others), True) if others else (None, False)


def size(job: Job) -> tuple[int | None, bool]:
    """Return the bytes that a job may add, and whether they are those of another encoder or download: a guess.

    They are those of like results, less those of its own that it replaces.
    """
    total, guess = 0, False
    for file in job.output:
        if Path(file).exists():
            continue
        pattern = _pattern(file, job.wildcards)
        near = _pattern(file, {name: value for name, value in job.wildcards.items() if name not in ALIEN})
        sizes = _like(near)
        if not sizes:
            guess |= near != pattern
            sizes = _like(pattern) or _like(str(Path(pattern).with_name(f"*{Path(file).suffix}")))
        if not sizes:
            return None, False
        total += round(fmean(sizes))
    return total, guess


def _pattern(file: str, wildcards: Mapping[str, str]) -> str:
    """Return a glob of the results that the same rule makes for other languages, seeds and experiments."""
    parts = Path(file).parts
    values = set(wildcards.values())
    stars = [_star(part, values) for part in parts[2:]]
    return str(Path(parts[0], "*" if parts[0] == "results" else parts[1], *stars))


def _star(part: str, values: set[str]) -> str:
    stem, dot, ending = part.partition(".")
    if part in values or stem in values:
        return "*" + dot + ending if part not in values else "*"
    return re.sub(r"(?<=-)\d+$", "*", part)  # seed-0


@cache
def _like(pattern: str) -> list[int]:
    return [folder_size(path) for path in sorted(Path().glob(pattern)) if not fnmatchcase(path.name, ".*")]


# -- the text


def forecast(jobs: Sequence[Job], cores: int = 1) -> str:
    """Return what a person wants to know before a run."""
    found = groups(jobs)
    if not found:
        return "Nothing to do: every result is there and up to date."
    rows = [("stage", "jobs", "time", "disk", "why, and for what")]
    rows += [(g.rule, str(len(g.jobs)), _time(g.jobs), _disk(g.jobs), f"{g.why}{_names(g)}") for g in found]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines = [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    ]
    every = [job for group in found for job in group.jobs]
    return "\n".join([*lines, "", *_total(every, cores)])


def _names(group: Group) -> str:
    names = sorted({job.name for job in group.jobs if job.name})
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f" ({', '.join(names[:NAMED])}{more})" if names else ""


def _time(jobs: Sequence[Job]) -> str:
    known = [seconds(job) for job in jobs]
    told = [s for s, _ in known if s is not None]
    if not told:
        return "unknown"
    mark = "*" if any(foreign for _, foreign in known) else ""
    return f"{'' if len(told) == len(jobs) else 'over '}{duration(sum(told))}{mark}"


def _disk(jobs: Sequence[Job]) -> str:
    known = [size(job) for job in jobs]
    told = [x for x, _ in known if x is not None]
    if not told:
        return "unknown"
    mark = "*" if any(guess for _, guess in known) else ""
    return f"{'' if len(told) == len(jobs) else 'over '}{disk(sum(told))}{mark}" if sum(told) else "none"


def _total(jobs: Sequence[Job], cores: int) -> list[str]:
    times = {id(job): seconds(job) for job in jobs}
    known = [s for s, _ in times.values() if s is not None]
    work = sum(known)
    longest: dict[str, float] = {}
    for job in jobs:
        longest[job.rule] = max(longest.get(job.rule, 0.0), times[id(job)][0] or 0.0)
    wall = max(work / cores, sum(longest.values()))
    sizes = [size(job) for job in jobs]
    bytes_ = [x for x, _ in sizes if x is not None]
    free = shutil.disk_usage(Path()).free
    unknown = len(jobs) - len(known)
    text = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
    if known:
        text += (
            f"; about {duration(work)} of work, on {cores} {'core' if cores == 1 else 'cores'} about {duration(wall)}"
        )
    lines = [text + (f"; {unknown} of unknown time" if unknown else "")]
    lines.append(f"about {disk(sum(bytes_))} more on the disk, of {disk(free)} free" if bytes_ else "")
    if sum(bytes_) > free:
        lines.append("THE DISK IS TOO SMALL: free some space first (`tagdistill clean` lists what nobody uses)")
    if any(foreign for _, foreign in times.values()):
        lines.append("* from other experiments' benchmarks: other settings take other times")
    if any(guess for _, guess in sizes):
        lines.append("* on the disk: as much as another encoder, or another download, takes")
    return [line for line in lines if line]
