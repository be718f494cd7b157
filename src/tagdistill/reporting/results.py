"""docs/results: a page and a table of all comparisons for each finished experiment, with its figures."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json, write_text
from tagdistill.artifacts.stored_file import stored, whole_text
from tagdistill.errors import DataError
from tagdistill.evaluation.bootstrap import DRAWS
from tagdistill.evaluation.significance import Interval, corrected
from tagdistill.formatting import count, duration, probability
from tagdistill.reporting.facts import read_stages
from tagdistill.reporting.notes import small_tests
from tagdistill.reporting.results_compared import against_experiment, against_objective

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HEAD = """\
# {name}

<!-- Written by `make results` from a finished experiment; do not edit. -->

{command}

± is the sample standard deviation over seeds; low and high are the bounds of a 95% interval, of the test sentences and
of the seeds unless it says "sentences" alone. The verdict is better or worse where p is below 0.05 after Holm's
correction for all comparisons of this page (p_holm); one seed has no verdict ([reliability](../reliability.md)). The
gap closed is in per cent.
"""
FIGURES = {
    "in_language": "The students' and teachers' averages on trained languages, with intervals",
    "zero_shot": "The averages on languages without training text, with intervals",
}
SIGNIFICANCE = (
    *("system", "reference", "group", "difference", "low", "high", "covers", "p_holm", "verdict", "up", "languages"),
    *("runs", "reference_runs"),
)
GAP = (
    *("objective", "teachers", "baseline", "student", "gap", "gap_low", "gap_high", "closed", "closed_low"),
    *("closed_high", "covers", "verdict"),
)
Rows = list[dict[str, str]]


def write_results(
    experiments: Sequence[Path], benchmarks: Path, out: Path, *, objective: str | None = None, draws: int = DRAWS
) -> None:
    """Write out/NAME.md, NAME.tsv and figures from the folders results/NAME of finished experiments.

    `benchmarks` holds NAME/RULE/*.tsv. Students are compared with their reference; with those of `objective`, if it is
    given; and, where the name of an experiment begins with that of another one, such as `pos-tuned` and `pos`, with its
    students of the same objective. Other files in `out` stay.
    """
    for folder in experiments:
        if not (folder / "tables" / "scores.tsv").exists():
            raise DataError("has no tables: its run is not finished", where=str(folder))
    compared = [_compared(folder, _base(folder, experiments), objective, draws) for folder in experiments]
    for folder, sections in zip(experiments, compared, strict=True):
        comparisons = dict(zip(sections, corrected_rows(list(sections.values())), strict=True))
        write_text(out / f"{folder.name}.md", _page(folder, benchmarks / folder.name, comparisons))
        _write_rows(out / f"{folder.name}.tsv", comparisons)
        for name in FIGURES:
            figure = whole_text(folder / "figures" / f"{name}.svg", "a figure", "</svg>")
            write_text(out / f"{folder.name}-{name}.svg", figure)


def _base(folder: Path, experiments: Sequence[Path]) -> Path | None:
    found = [other for other in experiments if folder.name.startswith(f"{other.name}-")]
    return max(found, key=lambda other: len(other.name), default=None)


def _compared(folder: Path, base: Path | None, objective: str | None, draws: int) -> dict[str, Rows]:
    """Return the comparisons of an experiment, by the title of their section."""
    sections = {"Against the reference": comparisons_of(folder)}
    pairs = {(row["system"], row["reference"]) for row in sections["Against the reference"]}
    compared = {system for pair in pairs if objective in pair for system in pair}
    if objective and (rows := against_objective(folder, objective, compared, draws)):
        sections[f"Against {objective}"] = rows
    if base and (rows := against_experiment(folder, base, draws)):
        sections[f"Against the same systems of {base.name}"] = rows
    return sections


def _page(folder: Path, benchmarks: Path, comparisons: Mapping[str, Rows]) -> str:
    gap = [row for row in rows_of(folder, "gap") if row["language"] == ""]
    parts = [
        HEAD.format(name=folder.name, command=command(folder.name)).rstrip(),
        *small_tests_of(folder, ("in_language", "zero_shot")),
        "## In-language\n\n" + table(rows_of(folder, "in_language")),
        "## Zero-shot\n\n" + table(rows_of(folder, "zero_shot")),
        *(f"## {title}\n\n{table(rows, SIGNIFICANCE)}" for title, rows in comparisons.items()),
        "## Gap between baseline and teachers, and the share closed, mean over languages\n\n" + table(gap, GAP),
        *(f"![{caption}]({folder.name}-{name}.svg)" for name, caption in FIGURES.items()),
        *([f"## Time by stage\n\n{stages}"] if (stages := _stages(benchmarks)) else []),
        _versions(folder),
    ]
    return "\n\n".join(parts) + "\n"


def _write_rows(path: Path, comparisons: Mapping[str, Rows]) -> None:
    lines = io.StringIO()
    writer = csv.DictWriter(
        lines, ("section", *SIGNIFICANCE, "p"), restval="", extrasaction="ignore", delimiter="\t", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows({"section": title, **row} for title, rows in comparisons.items() for row in rows)
    write_text(path, lines.getvalue())


def command(name: str) -> str:
    """Return the command that runs an experiment: except for `demo`, its name is that of its config file."""
    path = f"{name.replace('-', '/', 1)}.yaml"
    return "`make demo`" if name == "demo" else f"`snakemake --cores 2 --configfile config/{path} --config root=FOLDER`"


def comparisons_of(folder: Path) -> Rows:
    """Return the comparisons of an experiment. Raises DataError where an earlier version wrote them, without p."""
    rows = rows_of(folder, "significance")
    if rows and "p" not in rows[0]:
        hint = "An earlier version wrote it, of test sentences alone: write the report again with this one."
        raise DataError("has no column p", where=str(folder / "tables" / "significance.tsv"), hint=hint)
    return rows


def corrected_rows(experiments: Sequence[Rows]) -> list[Rows]:
    """Return the comparisons of several experiments, corrected together: all of them stand on one page."""
    family = iter(corrected([_interval(row) for rows in experiments for row in rows]))
    return [[{**row, **_decided(next(family))} for row in rows] for rows in experiments]


def _decided(found: Interval) -> dict[str, str]:
    return {"p_holm": "" if found.p_holm is None else probability(found.p_holm), "verdict": found.verdict}


def _interval(row: Mapping[str, str]) -> Interval:
    value, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    p = float(row["p"]) if row["p"] else None
    return Interval(value, low, high, row["covers"], p, untested=row["verdict"])


def small_tests_of(folder: Path, tables: Sequence[str]) -> list[str]:
    """Say which test sets of these tables of an experiment are small; nothing where none is."""
    shown = {name for each in tables for row in rows_of(folder, each) for name in row}
    scores = [row for row in rows_of(folder, "scores") if row["language"] in shown]
    return small_tests({row["language"]: int(row["sentences"]) for row in scores})


def rows_of(folder: Path, table: str) -> Rows:
    """Return the rows of one table of an experiment, from tables/TABLE.tsv."""
    path = folder / "tables" / f"{table}.tsv"
    text = whole_text(path, "a table")
    with stored(path, "a table"):
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))


def table(rows: Sequence[Mapping[str, str]], columns: Sequence[str] | None = None) -> str:
    """Return rows as a Markdown table of some columns, or of all."""
    if not rows:
        return "(none)"
    names = [name for name in (columns or list(rows[0])) if name in rows[0]]
    lines = [names, ["---"] * len(names), *([_cell(name, row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(name: str, text: str) -> str:
    try:
        return f"{float(text):.2f}" if "." in text and name != "p_holm" else text
    except ValueError:
        return text.replace("|", "\\|")


def _stages(benchmarks: Path) -> str:
    rows = [
        {"stage": stage.name, "jobs": str(stage.jobs), "time": duration(stage.seconds)}
        for stage in read_stages(benchmarks)
    ]
    return table(rows) if rows else ""


def _versions(folder: Path) -> str:
    summary = read_json(next(iter(sorted(folder.glob("students/*/*/training.json")))))
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(summary["versions"].items()))
    return f"Device {summary['device']}, {count(summary['threads'], 'thread')} per job; {libraries}."
