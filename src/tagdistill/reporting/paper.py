"""docs/paper.md: what matches Wang et al. 2020, what differs, and the paper's tables with ours in the same layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import write_text
from tagdistill.errors import DataError
from tagdistill.reporting.html import render
from tagdistill.reporting.results import command, comparisons_of, corrected_rows, rows_of, small_tests_of, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLES = Path(__file__).with_name("paper_tables.txt")  # as printed
MISSING = "–"  # in our tables: not measured
AVERAGE = "average"
# The paper's tables: the experiment, config/NAME.yaml with its variants SIZE-NAME, and the table of its report.
SOURCES = {
    "2a": ("conll", "in_language"),
    "2b": ("semeval", "in_language"),
    "3": ("wikiann", "in_language"),
    "4": ("ud", "in_language"),
    "5": ("conll", "zero_shot"),
    "9": ("conll", "zero_shot"),
    "10": ("ud", "zero_shot"),
}
VARIANTS = {"conll2002": "conll"}
SYSTEMS = {
    "Teachers": ("Teachers", "Teachers (crf)"),
    "Best single teacher": ("Best single teacher, chosen on test", "Best single teacher, chosen on test (crf)"),
    "Softmax": ("softmax",),
    "Token": ("token",),
    "Baseline": ("baseline",),
    "Emission": ("emission",),
    "Top-K": ("top_k",),
    "Top-WK": ("top_wk",),
    "Posterior": ("posterior",),
    "Pos.+Top-WK": ("posterior+top_wk",),
}
COMPARED = ("system", "reference", "languages", "difference", "low", "high", "covers", "p_holm", "verdict", "runs")
ADDED_SYSTEMS = {"Structural (not in the paper)": ("structural",), "Scores (not in the paper)": ("scores",)}


@dataclass(frozen=True)
class Printed:
    """One table of the paper, as text: its number, title, columns and rows."""

    number: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # name first


def published() -> list[Printed]:
    """Return the paper's tables, in its order."""
    blocks = TABLES.read_text(encoding="utf-8").strip().split("\n\n")
    return [_printed(block.splitlines()) for block in blocks]


def _printed(lines: Sequence[str]) -> Printed:
    number, _, title = lines[0].removeprefix("# ").partition("\t")
    cells = [tuple(line.split("\t")) for line in lines[1:]]
    return Printed(number, title, cells[0][1:], tuple(cells[1:]))


def write_paper(experiments: Sequence[Path], out: Path) -> None:
    """Write the page from the folders results/NAME of finished experiments.

    Raises DataError for a folder without tables and for an experiment that is not one of the paper's.
    """
    for folder in experiments:
        if not (folder / "tables" / "scores.tsv").exists():
            raise DataError("has no tables: its run is not finished", where=str(folder))
        if not _families(folder.name):
            known = ", ".join(sorted({name for name, _ in SOURCES.values()}))
            raise DataError(
                "is not an experiment of the paper", where=str(folder), hint=f"Those are {known} and their variants."
            )
    write_text(out, paper_page(experiments))


def paper_page(experiments: Sequence[Path]) -> str:
    """Return the page; without experiments it has only the published tables."""
    pairs = [(printed, folder) for printed in published() for folder in experiments]
    pairs = [(printed, folder) for printed, folder in pairs if printed.number in _families(folder.name)]
    shown = [(printed, folder, found) for printed, folder in pairs if (found := _ours(printed, folder))]
    compared = corrected_rows([_compared(printed, folder) for printed, folder, _ in shown])
    ours: dict[str, list[Mapping[str, str]]] = {}
    for (printed, _, found), rows in zip(shown, compared, strict=True):
        ours.setdefault(printed.number, []).append({**found, "compared": table(rows, COMPARED) if rows else ""})
    tables = [
        {
            "number": printed.number,
            "title": printed.title,
            "published": _markdown(printed.columns, printed.rows),
            "ours": ours.get(printed.number, []),
        }
        for printed in published()
    ]
    return render("paper.md.j2", tables=tables)


def _compared(printed: Printed, folder: Path) -> list[dict[str, str]]:
    """Return our comparisons on the average that belongs to a table."""
    group = SOURCES[printed.number][1]
    return [row for row in comparisons_of(folder) if row["group"] == group]


def _families(name: str) -> list[str]:
    """Return the numbers of the paper's tables that an experiment belongs to, by its name."""
    parts = {VARIANTS.get(part, part) for part in name.split("-")}
    return [number for number, (owner, _) in SOURCES.items() if owner in parts]


def _ours(table: Printed, folder: Path) -> Mapping[str, str] | None:
    """Return our table, None where the experiment has none of the table's languages."""
    measured = {row["system"]: row for row in rows_of(folder, SOURCES[table.number][1])}
    names = [*((row[0], SYSTEMS[row[0]]) for row in table.rows), *ADDED_SYSTEMS.items()]
    rows = [(name, *_cells(table.columns, _first(measured, ours))) for name, ours in names]
    if all(cell == MISSING for row in rows for cell in row[1:]):
        return None
    shown = [row for row in rows if row[0] not in ADDED_SYSTEMS or set(row[1:]) != {MISSING}]
    return {
        "name": folder.name,
        "command": command(folder.name),
        "table": _markdown(table.columns, shown),
        "notes": " ".join(small_tests_of(folder, [SOURCES[table.number][1]])),
    }


def _first(rows: Mapping[str, Mapping[str, str]], names: Iterable[str]) -> Mapping[str, str]:
    return next((rows[name] for name in names if name in rows), {})


def _cells(columns: Sequence[str], row: Mapping[str, str]) -> list[str]:
    """Return our scores in the paper's columns, with an average only where it is over the same languages."""
    languages = {name for name in row if name != "system" and not name.startswith(AVERAGE)}
    averages = {name for name in row if name.startswith(AVERAGE)}  # some are averaged apart, such as "out of domain"
    same = languages == set(columns) - {AVERAGE} and averages <= {AVERAGE}
    return [(row.get(name) or MISSING) if name != AVERAGE or same else MISSING for name in columns]


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [["", *columns], ["---"] * (len(columns) + 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
