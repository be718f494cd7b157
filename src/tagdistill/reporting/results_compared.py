"""Comparisons of students that the report does not make: with another objective, and with another experiment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from tagdistill.errors import MismatchError
from tagdistill.evaluation.comparison import Difference, Pair, Side, read_side
from tagdistill.evaluation.tables import interval_columns

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

GROUPS = {"trained": "in_language", "trained_out_of_domain": "in_language_out_of_domain"}  # as in significance.tsv
Rows = list[dict[str, str]]


def against_objective(folder: Path, objective: str, compared: Collection[str], draws: int) -> Rows:
    """Compare the students of an experiment with those of one of its objectives; none where it has not that one.

    Those that are `compared` with it already are left out: one is the other's reference.
    """
    side = read_side(folder)
    students = side.scores[side.scores["kind"] == "student"]
    others = [name for name in students["system"].unique() if name not in (objective, *compared)]
    theirs = students[students["system"] == objective]
    if theirs.empty or not others:
        return []
    # The objective's students under the name of each other one: a pair compares systems of the same name.
    named = pd.concat([theirs.assign(system=name) for name in others])
    return _rows(replace(side, scores=named), replace(side, scores=students), objective, draws)


def against_experiment(folder: Path, base: Path, draws: int) -> Rows:
    """Compare the students of an experiment with another's of the same objectives; none where none can be compared."""
    first, second = (read_side(each) for each in (base, folder))
    try:
        return _rows(_students(first), _students(second), base.name, draws)
    except MismatchError:  # no test set or objective in common
        return []


def _students(side: Side) -> Side:
    return replace(side, scores=side.scores[side.scores["kind"] == "student"])


def _rows(first: Side, second: Side, reference: str, draws: int) -> Rows:
    pair = Pair(first, second, draws=draws)
    found = [pair.difference(system, group, over) for group, over in pair.groups() for system in pair.systems]
    rows = [
        {
            "system": each.system,
            "reference": reference,
            "group": GROUPS.get(each.group, each.group),
            **interval_columns(each.difference),
            "up": _up(pair, each),
            "languages": len(each.languages),
            "runs": each.runs[1],
            "reference_runs": each.runs[0],
        }
        for each in found
        if each
    ]
    return [{name: f"{x:.4f}" if isinstance(x, float) else str(x) for name, x in row.items()} for row in rows]


def _up(pair: Pair, found: Difference) -> int:
    """Return in how many languages the second side is above the first."""
    single = (pair.difference(found.system, language, (language,)) for language in found.languages)
    return sum(each.second > each.first for each in single if each)
