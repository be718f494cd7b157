"""What an objective was trained with, for the report and the model cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.experiment.mixture import named
from tagdistill.experiment.runs import Runs
from tagdistill.formatting import count, series
from tagdistill.reporting.html import Table, plain_table
from tagdistill.settings.distill import OWN, Distill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tagdistill.settings.distill import Anneal, ResolvedObjective
    from tagdistill.settings.experiment import Experiment

COLUMNS = ["objective", "loss", "teachers", "teacher weight", "temperature", "paths", "unlabelled per labelled batch"]


def objective_table(experiment: Experiment) -> Table | None:
    """Return the settings of each objective; those that change nothing in it are missing."""
    runs, distill = Runs(experiment), experiment.distill
    text = bool(runs.with_split("unlabelled") or runs.zero_shot_text)
    rows = []
    for name in distill.names:
        resolved = runs.objective(name)
        found = _settings(resolved)
        paths = found.get("paths", distill.k if resolved.row.reads_paths else None)
        ratio = f"{resolved.unlabelled_ratio:g}" if text and resolved.row.needs else None
        teachers = named(resolved.teachers) or None
        own = resolved.row.name, teachers, found.get("teacher weight"), found.get("temperature"), paths, ratio
        rows.append((name, *own))
    left_out = () if experiment.teachers else ("teachers",)  # all have their own
    columns = [number for number, title in enumerate(COLUMNS) if title not in left_out]
    shown = [[row[number] for number in columns] for row in rows]
    return plain_table([COLUMNS[number] for number in columns], shown, words=True)


def described(config: Mapping[str, Any]) -> str:
    """Return the loss of a student and its settings in words, from its config.json; "" without teachers."""
    resolved = _resolved(config)
    if resolved is None:
        return ""
    values = ", ".join(f"{name} {value}" for name, value in _settings(resolved).items())
    return f"loss `{resolved.row.name}`{', ' if values else ''}{values}"


def taught_by(config: Mapping[str, Any], taught: Mapping[str, int]) -> str:
    """Return the teachers of a student in words, from its config.json; "" without teachers.

    `taught` counts the languages of each teacher of several languages; one that is not there is named without them.
    """
    resolved = _resolved(config)
    names = sorted(resolved.teachers, key=lambda name: (name != OWN, name)) if resolved else []
    words = ["one teacher per language" if name == OWN else _shared(name, taught.get(name)) for name in names]
    averaged = ", whose distributions are averaged" if len(words) > 1 else ""
    return series(words) + averaged


def _shared(name: str, languages: int | None) -> str:
    return f"the teacher `{name}` of {count(languages, 'language') if languages else 'several languages'}"


def _resolved(config: Mapping[str, Any]) -> ResolvedObjective | None:
    """Return the objective of a student's config.json; None where it has no teachers."""
    if not config.get("distill"):
        return None
    resolved = Distill.model_validate(config["distill"]).resolve(config["objective"])
    return resolved if resolved.row.needs else None


def _settings(objective: ResolvedObjective) -> dict[str, Any]:
    """Return those settings that the loss of an objective depends on, by what they are called."""
    found: dict[str, Any] = {}
    if objective.row.needs:
        found["teacher weight"] = _weight(objective.anneal) + (", gated" if objective.gate == "soft" else "")
    if objective.row.needs and set(objective.teachers) != {OWN}:
        found["teachers"] = named(objective.teachers)
    if objective.row.tempered:
        found["temperature"] = f"{objective.temperature:g}"
    if objective.k is not None:
        found["paths"] = objective.k
    return found


def _weight(anneal: Anneal) -> str:
    if anneal.tau is not None:
        return f"1, less {anneal.tau:g}% per epoch"
    return f"{anneal.start:g} to {anneal.end:g}" if anneal.start != anneal.end else f"{anneal.start:g}"
