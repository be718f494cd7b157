"""Every score of an experiment in one tidy table, read from the metrics that its settings call for.

What is read is planned from the settings, never found by listing folders: files that a removed language or objective
left behind are not part of the experiment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from tagdistill.artifacts.files import read_json
from tagdistill.errors import MismatchError
from tagdistill.evaluation.metrics import FORMAT, read_counts
from tagdistill.experiment.runs import Model, Runs, TestLanguage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tagdistill.data.span_counts import Counts
    from tagdistill.settings.experiment import Experiment

COLUMNS = [
    *("model", "kind", "objective", "teacher", "decoder", "seed", "language", "role", "out_of_domain", "leave_out"),
    *("label", "score", "value", "support", "main", "sentences", "words", "corpus_sha256"),
]
SCORES = ("accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Results:
    """The scores of an experiment: `frame` is tidy, a row a score; `counts[language][model]` is [sentences, 3]."""

    experiment: Experiment
    frame: pd.DataFrame
    counts: dict[str, dict[str, Counts]]
    calibration: dict[str, dict[str, dict[str, float]]]  # [model][text]: accuracy, confidence, entropy
    missing: list[str]  # metrics that the settings call for and that are not there
    known_types: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # [model, language], see variants

    @property
    def main(self) -> pd.DataFrame:
        """The main score alone: one row a model and language."""
        return self.frame[self.frame["main"]]


def metrics_path(results: Path, model: Model, language: str) -> Path:
    """Return where the metrics of a model on a language are."""
    return results / "metrics" / model.name / f"{language}.json"


def read_scores(results: Path, experiment: Experiment) -> Results:
    """Read all metrics of an experiment from `results` (the folder results/NAME); what is missing is listed.

    Raises DataError for a file that cannot be read, MismatchError for one of another model, language or format.
    """
    rows: list[dict[str, Any]] = []
    counts: dict[str, dict[str, Counts]] = {}
    calibration: dict[str, dict[str, dict[str, float]]] = {}
    missing: list[str] = []
    known_types: dict[tuple[str, str], dict[str, Any]] = {}
    for model, target, needed in Runs(experiment).tests():
        path = metrics_path(results, model, target.language)
        if not path.exists():
            missing += [str(path.relative_to(results))] if needed else []
            continue
        record = read_record(path, model, target.language)
        rows += _rows(record, model, target)
        counts.setdefault(target.language, {})[model.name] = read_counts(record, where=str(path))
        if "known_types" in record:
            known_types[model.name, target.language] = record["known_types"]
        if "calibration" in record and model.teacher == target.language:
            calibration[model.name] = record["calibration"]
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"main": bool, "out_of_domain": bool, "value": float})
    return Results(experiment, frame, counts, calibration, missing, known_types)


def read_record(path: Path, model: Model, language: str) -> dict[str, Any]:
    """Read one metrics JSON; raise MismatchError where it is of another model, language or format."""
    record = read_json(path)
    wanted = {"format": FORMAT, "kind": "metrics", "model": model.name, "language": language}
    for name, value in wanted.items():
        if not isinstance(record, dict) or record.get(name) != value:
            found = record.get(name) if isinstance(record, dict) else record
            raise MismatchError(
                f"{name} is {found!r}, needed is {value!r}", where=str(path), hint="Delete it and evaluate again."
            )
    return record


def _rows(record: dict[str, Any], model: Model, target: TestLanguage) -> Iterator[dict[str, Any]]:
    """Yield one row a score, over all labels (label "") and for each label."""
    head = {
        "model": model.name,
        "kind": model.kind,
        "objective": model.objective or "",
        "teacher": model.teacher or "",
        "decoder": model.decoder,
        "seed": model.seed,
        "language": target.language,
        "role": target.role,
        "out_of_domain": target.out_of_domain,
        "leave_out": target.leave_out or "",
        "sentences": record["sentences"],
        "words": record["words"],
        "corpus_sha256": record.get("corpus_sha256") or "",
    }
    for label, part in [("", record), *record["per_label"].items()]:
        for name in SCORES:
            if name in part:
                main = not label and name == record["score"]
                value = {"label": label, "score": name, "value": part[name], "support": part["support"], "main": main}
                yield {**head, **value}
