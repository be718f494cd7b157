"""Every score of an experiment in one tidy table, read from the metrics that its settings call for.

What is read is planned from the settings, never listed from folders: files of a language or objective that was removed
are not part of the experiment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from tagdistill.evaluation.metrics_file import read_counts, read_record
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
ORDER = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Results:
    """The scores of an experiment: `frame` is tidy, one row per score; `counts[language][model]` is [sentences, 3].

    `calibration[model, language]` holds accuracy, confidence and entropy by the text that they are of.
    """

    experiment: Experiment
    frame: pd.DataFrame
    counts: dict[str, dict[str, Counts]]
    calibration: dict[tuple[str, str], dict[str, dict[str, float]]]
    missing: list[str]  # metrics that the settings call for and that are not there
    known_types: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # [model, language], see variants
    further: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # [model, language][metric]

    @property
    def main(self) -> pd.DataFrame:
        """The main score alone: one row per model and language."""
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
    calibration: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    missing: list[str] = []
    known_types: dict[tuple[str, str], dict[str, Any]] = {}
    further: dict[tuple[str, str], dict[str, Any]] = {}
    for model, target, needed in Runs(experiment).tests():
        path = metrics_path(results, model, target.language)
        if not path.exists():
            missing += [str(path.relative_to(results))] if needed else []
            continue
        record = read_record(path, model.name, target.language)
        rows += _rows(record, model, target)
        counts.setdefault(target.language, {})[model.name] = read_counts(record, where=str(path))
        further[model.name, target.language] = record.get("further", {})
        if "known_types" in record:
            known_types[model.name, target.language] = record["known_types"]
        if "calibration" in record:
            calibration[model.name, target.language] = record["calibration"]
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"main": bool, "out_of_domain": bool, "value": float})
    return Results(experiment, frame, counts, calibration, missing, known_types, further)


def _rows(record: dict[str, Any], model: Model, target: TestLanguage) -> Iterator[dict[str, Any]]:
    """Yield one row per score, over all labels (label "") and for each label; `NAME:f1` is one of a further metric."""
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
    for row in _values(record):
        yield {**head, **row, "main": not row["label"] and row["score"] == record["score"]}
    for metric, further in record.get("further", {}).items():
        for row in _values(further):
            yield {**head, **row, "score": f"{metric}:{row['score']}", "main": False}


def _values(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield label, score, value and support of each value of one metric."""
    for label, part in [("", record), *record["per_label"].items()]:
        values = {name: value for name, value in part.items() if isinstance(value, float)}  # counts are integers
        for name in sorted(values, key=_place):
            yield {"label": label, "score": name, "value": values[name], "support": part["support"]}


def _place(score: str) -> tuple[int, str]:
    """Return where a score stands among those of a metric: the usual order, then others by name."""
    return (ORDER.index(score) if score in ORDER else len(ORDER), score)
