"""The tables of an experiment: one tidy file of every score, and the tables that a paper prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import pandas as pd

from tagdistill.artifacts.files import atomic_path
from tagdistill.evaluation.table_names import TABLES
from tagdistill.evaluation.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.evaluation.analysis import Analysis, Group, System, Value
    from tagdistill.evaluation.significance import Interval
    from tagdistill.experiment.runs import TestLanguage

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A language, or an average over languages (then `average`); `mark` is a note on it, such as "out of domain"."""

    key: str
    title: str
    average: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Cell:
    """A score, or None where it is missing; `best` among the students of its column, at the digits shown."""

    value: Value | None
    best: bool = False
    note: str = ""

    @property
    def text(self) -> str:
        """The score as text: mean ± standard deviation, or a dash."""
        if self.value is None:
            return MISSING
        return f"{self.value.mean:.2f}" + ("" if self.value.sd is None else f" ± {self.value.sd:.2f}")


@dataclass(frozen=True)
class Row:
    """A row of a table: a system."""

    title: str
    kind: str
    cells: list[Cell]


@dataclass(frozen=True)
class Grid:
    """Systems by languages."""

    columns: list[Column]
    rows: list[Row]

    def frame(self) -> pd.DataFrame:
        """Return the table as text: mean ± sample standard deviation over seeds."""
        rows = [[row.title, *(cell.text for cell in row.cells)] for row in self.rows]
        return pd.DataFrame(rows, columns=["system", *(column.title for column in self.columns)])


def in_language(analysis: Analysis) -> Grid:
    """Return students, each language's own teacher and teachers of several languages on the trained languages."""
    teachers = [row for decoder in analysis.decoders for row in analysis.own_and_shared(decoder)]
    return _grid(analysis, "trained", [*teachers, *analysis.students])


def zero_shot(analysis: Analysis) -> Grid:
    """Return students and teachers on unseen languages.

    Of the teachers of one language each there are the best one (chosen on test) and their mean.
    """
    teachers = [
        row for decoder in analysis.decoders for row in (*analysis.abroad(decoder), *analysis.shared_teachers(decoder))
    ]
    return _grid(analysis, "zero_shot", [*teachers, *analysis.students])


def _grid(analysis: Analysis, role: str, systems: Sequence[System]) -> Grid:
    columns, values = [], []
    for language in analysis.languages(role):
        target = analysis.target(language)
        columns.append(Column(language, language, mark=_mark(target)))
        values.append([(analysis.value(system, language), system.notes.get(language, "")) for system in systems])
    for group in analysis.groups:
        if group.role == role:
            title = "average, out of domain" if group.key.endswith("out_of_domain") else "average"
            columns.append(Column(group.key, title, average=True, mark=_over(group)))
            values.append([(analysis.average(system, group), "") for system in systems])
    cells = [_cells(column, systems) for column in values]
    rows = [Row(s.title, s.kind, [column[n] for column in cells]) for n, s in enumerate(systems)] if columns else []
    return Grid(columns, rows)


def _mark(target: TestLanguage) -> str:
    left_out = f"left out of averages: {target.leave_out}" if target.leave_out else ""
    text = "not zero-shot in text" if target.text else ""
    return "; ".join(filter(None, (left_out or ("out of domain" if target.out_of_domain else ""), text)))


def _over(group: Group, most: int = 5) -> str:
    names = group.languages
    return f"over {', '.join(names)}" if len(names) <= most else f"over {len(names)} languages"


def _cells(column: Sequence[tuple[Value | None, str]], systems: Sequence[System]) -> list[Cell]:
    shown = [v.mean for (v, _), s in zip(column, systems, strict=True) if v and s.kind == "student"]
    top = f"{max(shown):.2f}" if len({f"{mean:.2f}" for mean in shown}) > 1 else None
    return [
        Cell(value, best=value is not None and system.kind == "student" and f"{value.mean:.2f}" == top, note=note)
        for (value, note), system in zip(column, systems, strict=True)
    ]


def matrix_frame(analysis: Analysis) -> pd.DataFrame:
    """Return every teacher on every language it was tested on, one row per teacher."""
    languages = [target.language for target in analysis.targets]
    rows = [
        {"teacher": teacher, "decoder": decoder, **scores}
        for decoder in analysis.decoders
        for teacher, scores in analysis.matrix(decoder).items()
    ]
    return pd.DataFrame(rows, columns=["teacher", "decoder", *languages])


def gap_frame(analysis: Analysis) -> pd.DataFrame:
    """Return gap and share closed, one row per objective and language (language "" is the average).

    `covers` says what the intervals cover: sentences, or seeds of the students too.
    """
    flat = []
    for gap in analysis.gaps:
        row: dict[str, Any] = {**asdict(gap), "verdict": gap.verdict, "covers": gap.gap.covers}
        for name in ("gap", "closed"):
            found = getattr(gap, name)
            row |= {
                name: found and found.value,
                f"{name}_low": found and found.low,
                f"{name}_high": found and found.high,
            }
        flat.append(row)
    numbers = ["gap", "gap_low", "gap_high", "closed", "closed_low", "closed_high", "covers", "verdict"]
    head = [
        "objective",
        "reference",
        "decoder",
        "taught_by",
        "language",
        "languages",
        "teachers",
        "baseline",
        "student",
    ]
    return pd.DataFrame(flat, columns=head + numbers)


def significance_frame(analysis: Analysis) -> pd.DataFrame:
    """Return every comparison with its 95% interval, one row per system and group of languages."""
    flat = []
    for comparison in analysis.comparisons:
        found, row = comparison.difference, asdict(comparison)
        row |= interval_columns(found)
        flat.append({**row, "left_out": " ".join(comparison.left_out), "draws": analysis.draws})
    head = ["system", "reference", "group", *INTERVAL, "languages", "up"]
    return pd.DataFrame(flat, columns=[*head, "runs", "reference_runs", "left_out", "draws"])


INTERVAL = ("difference", "low", "high", "covers", "p", "p_holm", "verdict")


def interval_columns(found: Interval) -> dict[str, Any]:
    """Return a difference as the columns INTERVAL of a table."""
    numbers = {"difference": found.value, "low": found.low, "high": found.high, "covers": found.covers}
    p, p_holm = ("" if value is None else f"{value:.6g}" for value in (found.p, found.p_holm))
    return {**numbers, "p": p, "p_holm": p_holm, "verdict": found.verdict}


def variants_frame(found: Sequence[Variant]) -> pd.DataFrame:
    """Return every main score beside its other reading, one row per system and language."""
    names = [field.name for field in fields(Variant)]
    return pd.DataFrame([asdict(variant) for variant in found], columns=names)


def write_tables(analysis: Analysis, folder: Path, others: Sequence[Variant] = ()) -> list[Path]:
    """Write all TABLES as folder/NAME.tsv (empty ones as a header alone) and return their paths."""
    frames = {
        "scores": analysis.results.frame,
        "in_language": in_language(analysis).frame(),
        "zero_shot": zero_shot(analysis).frame(),
        "teachers": matrix_frame(analysis),
        "gap": gap_frame(analysis),
        "significance": significance_frame(analysis),
        "variants": variants_frame(others),
        "missing": pd.DataFrame({"file": analysis.results.missing}),
    }
    return [_write(frames[name], folder / f"{name}.tsv") for name in TABLES]


def _write(frame: pd.DataFrame, path: Path) -> Path:
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep="\t", index=False, float_format="%.4f", lineterminator="\n", encoding="utf-8")
    return path
