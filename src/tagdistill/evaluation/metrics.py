"""Scores of one tagger on one language: accuracy of tags, or precision, recall and F1 of spans, in per cent."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tagdistill import __version__
from tagdistill.data.labels import spans
from tagdistill.data.span_counts import Counts, Sentences, sentence_counts
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Role = Literal["trained", "zero_shot"]

FORMAT = 1
COUNTED = ("correct", "predicted", "gold")
DECIMALS = 6  # of a per cent: more is noise of the last bit


def score(task: str, gold: Sentences, predicted: Sentences, labels: Iterable[str]) -> dict[str, Any]:
    """Return the scores of a test set, as they stand in the metrics JSON.

    `task` is pos (accuracy of tags) or ner or aspect (spans, strict BIOES by seqeval). All scores are per cent; a score
    without support is 0, as in seqeval. `per_label` holds the same per tag or span type, `sentence_counts` what
    `read_counts` needs. Raises DataError for sequences of unequal length and for labels outside `labels`.
    """
    _check(gold, predicted, set(labels))
    counts = sentence_counts(task, gold, predicted)
    scores = _tag_scores(gold, predicted) if task == "pos" else _span_scores(gold, predicted, counts)
    columns = {name: " ".join(map(str, column)) for name, column in zip(COUNTED, counts.T.tolist(), strict=True)}
    words = sum(map(len, gold))
    return {"task": task, **scores, "sentences": len(gold), "words": words, "sentence_counts": columns}


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
    """Return the metrics JSON of one model on one language: `scores` (see `score`) and what they are scores of.

    Give `objective` for a student and `teacher` (its language) for a teacher. `calibration` maps a text ("train" or
    "test", say) to `accuracy` (per cent), `confidence` (mean highest marginal, per cent) and `entropy` (nats a token).
    """
    if (objective is None) == (teacher is None):
        raise ValueError("a model is a student (give its objective) or a teacher (give its language)")
    head = {
        "format": FORMAT,
        "kind": "metrics",
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
    """Return the counts of each sentence from a metrics JSON: [sentences, 3] correct, predicted, gold."""
    try:
        columns = [np.array(record["sentence_counts"][name].split(), dtype=np.int64) for name in COUNTED]
        return np.stack(columns, axis=1)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"sentence_counts cannot be read: {error!r}", where=where) from error


def _check(gold: Sentences, predicted: Sentences, labels: set[str]) -> None:
    if not gold:
        raise DataError("no sentences to score")
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} sentences of gold labels, {len(predicted)} predicted")
    for number, (left, right) in enumerate(zip(gold, predicted, strict=True)):
        if len(left) != len(right):
            raise DataError(f"{len(left)} gold labels, {len(right)} predicted", where=f"sentence {number + 1}")
        if unknown := (set(left) | set(right)) - labels:
            raise DataError(f"labels outside the label list: {sorted(unknown)}", where=f"sentence {number + 1}")


def _tag_scores(gold: Sentences, predicted: Sentences) -> dict[str, Any]:
    pairs = Counter(
        (g, p) for left, right in zip(gold, predicted, strict=True) for g, p in zip(left, right, strict=True)
    )
    support: Counter[str] = Counter()
    for (tag, _), number in pairs.items():
        support[tag] += number
    correct = sum(number for (left, right), number in pairs.items() if left == right)
    per_label = {tag: {"accuracy": _percent(pairs[tag, tag], support[tag]), "support": support[tag]} for tag in support}
    return {
        "score": "accuracy",
        "scorer": "tagdistill",
        "scheme": "tags",
        "accuracy": _percent(correct, support.total()),
        "support": support.total(),
        "per_label": dict(sorted(per_label.items())),
    }


def _span_scores(gold: Sentences, predicted: Sentences, counts: Counts) -> dict[str, Any]:
    per_label = _seqeval(gold, predicted)
    correct, ours, theirs = (int(n) for n in counts.sum(axis=0))
    _agree(per_label, gold, predicted)
    return {
        "score": "f1",
        "scorer": "seqeval strict",
        "scheme": "IOBES",
        "precision": _percent(correct, ours),
        "recall": _percent(correct, theirs),
        "f1": _percent(2 * correct, ours + theirs),
        "support": theirs,
        "per_label": per_label,
        **_known_types(gold, predicted),
    }


def _known_types(gold: Sentences, predicted: Sentences) -> dict[str, Any]:
    """Return the scores without predicted spans of types that the gold labels lack; nothing where there are none."""
    true = [set(spans(sentence)) for sentence in gold]
    types = {kind for sentence in true for kind, *_ in sentence}
    ours = [set(spans(sentence)) for sentence in predicted]
    kept = [{span for span in sentence if span[0] in types} for sentence in ours]
    predictions, known, support = (sum(map(len, sentences)) for sentences in (ours, kept, true))
    if not types or known == predictions:
        return {}
    correct = sum(len(a & b) for a, b in zip(true, kept, strict=True))
    scores = {
        "precision": _percent(correct, known),
        "recall": _percent(correct, support),
        "f1": _percent(2 * correct, known + support),
        "types": sorted(types),
        "predicted": predictions,
        "left_out": predictions - known,
    }
    return {"known_types": scores}


def _seqeval(gold: Sentences, predicted: Sentences) -> dict[str, dict[str, float]]:
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import IOBES, Entities

    true, ours = [list(s) for s in gold], [list(s) for s in predicted]
    found = {"entities_true": Entities(true, IOBES), "entities_pred": Entities(ours, IOBES)}
    names = sorted(found["entities_true"].unique_tags | found["entities_pred"].unique_tags)
    columns = precision_recall_fscore_support(true, ours, average=None, scheme=IOBES, zero_division=0, **found)
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return {name: {**_rounded(precision=p, recall=r, f1=f), "support": int(n)} for name, p, r, f, n in rows}


def _agree(per_label: Mapping[str, Mapping[str, float]], gold: Sentences, predicted: Sentences) -> None:
    """Refuse scores that two independent implementations do not share."""
    correct: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    for left, right in zip(gold, predicted, strict=True):
        a, b = set(spans(left)), set(spans(right))
        theirs.update(kind for kind, *_ in a)
        ours.update(kind for kind, *_ in b)
        correct.update(kind for kind, *_ in a & b)
    own = {
        kind: {
            "precision": _percent(correct[kind], ours[kind]),
            "recall": _percent(correct[kind], theirs[kind]),
            "f1": _percent(2 * correct[kind], ours[kind] + theirs[kind]),
            "support": theirs[kind],
        }
        for kind in sorted(ours | theirs)
    }
    if own.keys() != per_label.keys() or any(
        abs(own[kind][name] - per_label[kind][name]) > 10 * 10**-DECIMALS for kind in own for name in own[kind]
    ):
        raise MismatchError(
            f"seqeval and the count of spans disagree: {dict(per_label)} against {own}",
            hint="This is a defect: please report the labels of the test set and the version of seqeval.",
        )


def _percent(part: int, whole: int) -> float:
    return round(100.0 * part / whole, DECIMALS) if whole else 0.0


def _rounded(**shares: float) -> dict[str, float]:
    return {name: round(100.0 * value, DECIMALS) for name, value in shares.items()}
