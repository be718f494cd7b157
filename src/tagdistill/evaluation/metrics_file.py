"""The metrics JSON: the scores of one model on one language, and what they are scores of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tagdistill import __version__
from tagdistill.artifacts.files import check_kind, read_json
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tagdistill.data.span_counts import Counts

Role = Literal["trained", "zero_shot"]

FORMAT = 1
KIND = "metrics"
COUNTED = ("correct", "predicted", "gold")


def metrics_record(
    *,
    model: str,
    language: str,
    role: Role,
    seed: int,
    decoder: str,
    scores: Mapping[str, Any],
    objective: str | None = None,
    teacher: str | None = None,
    corpus_sha256: str | None = None,
    calibration: Mapping[str, Mapping[str, float]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the metrics JSON of one model on one language: `scores` (see `metrics.score`) and what they belong to.

    Give `objective` for a student and `teacher` (its language or name) for a teacher. `calibration` maps a text
    ("train" or "test", say) to `accuracy` (per cent), `confidence` (mean highest marginal, per cent) and `entropy`
    (nats per token). Raises ValueError unless exactly one of `objective` and `teacher` is given.
    """
    if (objective is None) == (teacher is None):
        raise ValueError("a model is a student (give its objective) or a teacher (give its language or name)")
    head = {
        "format": FORMAT,
        "kind": KIND,
        "version": __version__,
        "model": model,
        "model_kind": "student" if teacher is None else "teacher",
        "objective": objective,
        "teacher": teacher,
        "decoder": decoder,
        "seed": seed,
        "language": language,
        "role": role,
        "corpus_sha256": corpus_sha256,
    }
    known = {} if calibration is None else {"calibration": {text: dict(row) for text, row in calibration.items()}}
    return {**scores, **(extra or {}), **known, **head}


def read_counts(record: Mapping[str, Any], *, where: str) -> Counts:
    """Return the counts of each sentence from a metrics JSON: [sentences, 3] correct, predicted, gold.

    Raises DataError, naming `where`, for counts that cannot be read.
    """
    try:
        columns = [np.array(record["sentence_counts"][name].split(), dtype=np.int64) for name in COUNTED]
        return np.stack(columns, axis=1)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"sentence_counts cannot be read: {error!r}", where=where) from error


def counts_as_text(counts: Counts) -> dict[str, str]:
    """Return per-sentence counts [sentences, 3] as the metrics JSON holds them: one line of numbers per column."""
    return {name: " ".join(map(str, column)) for name, column in zip(COUNTED, counts.T.tolist(), strict=True)}


def read_record(path: Path, model: str, language: str) -> dict[str, Any]:
    """Read one metrics JSON. Raises MismatchError where it is of another model, language, kind or format."""
    record = check_kind(read_json(path), KIND, FORMAT, path)
    for name, needed in {"model": model, "language": language}.items():
        if record.get(name) != needed:
            raise MismatchError(
                f"{name} is {record.get(name)!r}, needed is {needed!r}",
                where=str(path),
                hint="Delete it and evaluate again.",
            )
    return record
