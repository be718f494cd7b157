"""docs/results.md: measured results, from the tables of finished experiments."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json, write_text
from tagdistill.errors import DataError
from tagdistill.formatting import count, duration
from tagdistill.reporting.facts import read_stages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD = """\
# Measured results

<!-- Written by `make results` from finished experiments; do not edit. -->

The numbers of each experiment are from a run of the command above them. ± is the sample standard deviation over seeds;
low and high are the bounds of the 95% interval of a paired bootstrap over test sentences. The verdict is better or
worse where the interval excludes 0.
"""
SIGNIFICANCE = ("system", "reference", "group", "difference", "low", "high", "verdict", "up", "languages")
GAP = ("objective", "teachers", "baseline", "student", "gap", "gap_low", "gap_high", "closed", "verdict")


def write_results(experiments: Sequence[Path], benchmarks: Path, out: Path) -> None:
    """Write the page from the folders results/NAME of finished experiments; `benchmarks` holds NAME/RULE/*.tsv."""
    write_text(out, "\n".join([HEAD, *(_experiment(folder, benchmarks / folder.name) for folder in experiments)]))


def _experiment(folder: Path, benchmarks: Path) -> str:
    if not (folder / "tables" / "scores.tsv").exists():
        raise DataError("has no tables: its run is not finished", where=str(folder))
    gap = [row for row in rows_of(folder, "gap") if row["language"] == ""]
    parts = [
        f"## {folder.name}\n\n{command(folder.name)}",
        "In-language\n\n" + _table(rows_of(folder, "in_language")),
        "Zero-shot\n\n" + _table(rows_of(folder, "zero_shot")),
        "Against the reference\n\n" + _table(rows_of(folder, "significance"), SIGNIFICANCE),
        "Gap between baseline and teachers, mean over languages\n\n" + _table(gap, GAP),
        "Time by stage\n\n" + _stages(benchmarks),
        _versions(folder),
    ]
    return "\n\n".join(parts) + "\n"


def command(name: str) -> str:
    """Return the command that runs an experiment: except for `demo`, its name is that of its config file."""
    path = f"{name.replace('-', '/', 1)}.yaml"
    return "`make demo`" if name == "demo" else f"`snakemake --cores 2 --configfile config/{path} --config root=FOLDER`"


def rows_of(folder: Path, table: str) -> list[dict[str, str]]:
    """Return the rows of one table of an experiment, from tables/TABLE.tsv."""
    with (folder / "tables" / f"{table}.tsv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def _table(rows: Sequence[dict[str, str]], columns: Sequence[str] | None = None) -> str:
    if not rows:
        return "(none)"
    names = [name for name in (columns or list(rows[0])) if name in rows[0]]
    lines = [names, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    try:
        return f"{float(text):.2f}" if "." in text else text
    except ValueError:
        return text.replace("|", "\\|")


def _stages(benchmarks: Path) -> str:
    rows = [
        {"stage": stage.name, "jobs": str(stage.jobs), "time": duration(stage.seconds)}
        for stage in read_stages(benchmarks)
    ]
    return _table(rows)


def _versions(folder: Path) -> str:
    summary = read_json(next(iter(sorted(folder.glob("students/*/*/training.json")))))
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(summary["versions"].items()))
    return f"Device {summary['device']}, {count(summary['threads'], 'thread')} per job; {libraries}."
