"""The text of `tagdistill plan`: the jobs of each stage, why they run, and the time and disk they may need."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.experiment.layout import output_of, own_benchmark
from tagdistill.formatting import count, disk, duration, listed
from tagdistill.workflow.estimates import Estimate, seconds, size, total
from tagdistill.workflow.rerun_reasons import CHANGE, FOLLOWS, NOT_THERE, OTHER_FILES, explain, explain_key
from tagdistill.workflow.shown import last_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tagdistill.workflow.dry_run import Job
    from tagdistill.workflow.shown import Shown

STAGES = (
    *("fetch", "convert_encoder", "convert_vectors", "prepare", "data_report", "repeats", "encode", "train_teacher"),
    "train_fold_teacher",
    *("score", "export_targets", "train_student", "evaluate_student", "evaluate_teacher"),
    *("evaluate_shared_teacher", "report", "export_student"),
)
LINKS = ("links", "show", "show_model")  # they compute nothing
MAX_NAMED = 4  # jobs or files that are named; the rest are counted
HEAD = ("stage", "jobs", "time", "disk", "why, and for what")


@dataclass
class Group:
    """Jobs of one stage that run for one reason."""

    rule: str
    why: str
    jobs: list[Job] = field(default_factory=list)

    def times(self) -> list[Estimate]:
        """Return how long each job may take: with settings that changed, those before are other ones."""
        found = [seconds(job.rule, job.benchmark) for job in self.jobs]
        changed = CHANGE in self.why and not self.why.startswith("languages:")
        return [replace(time, foreign=time.foreign or (changed and time.value is not None)) for time in found]


def forecast(jobs: Sequence[Job], cores: int = 1, shown: Shown | None = None) -> str:
    """Return the forecast of a run on some cores, as a table and its totals.

    `shown` knows what the results of the last run were made of, and which of them other experiments share.
    """
    grouped = groups(jobs, shown)
    others = _shared_with(shown) if shown else []
    if not grouped:
        return "\n".join(["Nothing to do: every result is there and up to date.", *others])
    return "\n".join([*_table([HEAD, *map(_row, grouped)]), "", *_totals(grouped, cores), *others])


def groups(jobs: Sequence[Job], shown: Shown | None = None) -> list[Group]:
    """Return the jobs by stage and reason, in the order of the stages."""
    known = _Known(shown)
    found: dict[tuple[str, str], Group] = {}
    for job in map(known.of_experiment, jobs):
        if job.output and job.rule not in LINKS:  # the others are names for several files
            why = known.why(job)
            found.setdefault((job.rule, why), Group(job.rule, why)).jobs.append(job)
    order = {rule: number for number, rule in enumerate(STAGES)}
    ordered = sorted(found.values(), key=lambda group: order.get(group.rule, len(order)))
    if ordered and ordered[0].why == FOLLOWS:
        ordered[0].why = OTHER_FILES
    return ordered


class _Known:
    """What is known of the last run of the experiment; nothing without `shown`."""

    def __init__(self, shown: Shown | None) -> None:
        self.name = shown.name if shown else None
        self.before = last_run(shown.name) if shown else {}
        results = shown.results if shown else ()
        self.now = {output_of(file): (x, place) for x in results for place, file in zip(x.places, x.files, strict=True)}

    def of_experiment(self, job: Job) -> Job:
        """Return a job with its benchmark among those of the experiment, where the last one of its name is."""
        return replace(job, benchmark=own_benchmark(self.name, job.benchmark)) if self.name else job

    def why(self, job: Job) -> str:
        """Return why a job runs: of a result that is not there yet, what is new in it since the last run."""
        why = _why(job)
        now, place = self.now.get(job.output[0], (None, ""))
        before = self.before.get(place)
        if why != NOT_THERE or not before or not now or before.key == now.key:
            return why
        return explain_key(before.made_of, now.made_of, job.rule)


def _shared_with(shown: Shown) -> list[str]:
    """Return a line on the results that are there and that other experiments show, too."""
    alike: dict[str, list[str]] = {}
    for name, stages in shown.shared_with().items():
        counts = ", ".join(f"{stages[stage]} {stage}" for stage in STAGES if stages[stage])
        alike.setdefault(counts, []).append(name)
    return [f"shared with {listed(names, MAX_NAMED)}: {counts}" for counts, names in alike.items()]


def _why(job: Job) -> str:
    """Return why a job runs; if only some of its files are missing, such as scores in a new language, also which."""
    why = explain(job.reason, job.rule)
    names = {Path(file).stem for file in job.output}
    missing = sorted({Path(file).stem for file in job.output if not Path(file).exists()})
    if why != NOT_THERE or len(missing) == len(names):
        return why
    return f"{NOT_THERE}: {listed(missing, MAX_NAMED)}"


def _row(group: Group) -> tuple[str, ...]:
    names = sorted({job.name for job in group.jobs if job.name})
    what = f" ({listed(names, MAX_NAMED)})" if names else ""
    times = _sum(group.times(), duration)
    sizes = _sum(map(size, group.jobs), _amount)
    return group.rule, str(len(group.jobs)), times, sizes, f"{group.why}{what}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
        for a, b, c, d, e in rows
    ]


def _amount(size: float) -> str:
    return disk(size) if size else "none"


def _sum(estimates: Iterable[Estimate], text: Callable[[float], str]) -> str:
    """Return a sum as text: "over" if some jobs are unknown, with a star if figures of other settings are in it."""
    whole = total(estimates)
    if not whole.known:
        return "unknown"
    return f"{'over ' if whole.unknown else ''}{text(whole.value)}{'*' if whole.foreign else ''}"


def _totals(grouped: Sequence[Group], cores: int) -> list[str]:
    jobs = [job for group in grouped for job in group.jobs]
    times, sizes = [time for group in grouped for time in group.times()], total(map(size, jobs))
    lines = [_total_time(jobs, times, cores)]
    if sizes.known:
        free = shutil.disk_usage(Path()).free
        lines.append(f"about {disk(sizes.value)} more on the disk, of {disk(free)} free")
        if sizes.value > free:
            lines.append("THE DISK IS TOO SMALL: free some space first (`tagdistill clean` lists what no config uses)")
    if any(time.foreign for time in times):
        lines.append("* of other settings: another encoder, mode or number of updates may take a hundred times as long")
    if sizes.foreign:
        lines.append("* on the disk: as much as another encoder, or another download, takes")
    return lines


def _total_time(jobs: Sequence[Job], times: Sequence[Estimate], cores: int) -> str:
    whole = total(times)
    text = count(len(jobs), "job")
    if whole.known:
        longest: dict[str, float] = {}
        for job, time in zip(jobs, times, strict=True):
            longest[job.rule] = max(longest.get(job.rule, 0.0), time.value or 0.0)
        wall = max(whole.value / cores, sum(longest.values()))  # stages wait for one another
        star = "*" if whole.foreign else ""
        text += f"; about {duration(whole.value)}{star} of work, on {count(cores, 'core')} about {duration(wall)}{star}"
    return text + (f"; {whole.unknown} of unknown time" if whole.unknown else "")
