"""Labelled texts as values of JSON: a line of `tagdistill predict --to jsonl`, a result of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.tagger.results import Span, Tagged

DIGITS = 6  # of probabilities


def record(tagged: Tagged, source_id: str | None = None) -> dict[str, Any]:
    """Return a labelled text; `sentences` are [first word, word after the last]."""
    found = {
        **({"id": source_id} if source_id else {}),
        "text": tagged.text,
        "tokens": [tagged.text[start:end] for start, end in tagged.words],
        "labels": list(tagged.labels),
        "sentences": [list(bounds) for bounds in tagged.sentences],
        "spans": _spans(tagged),
        "split": tagged.split,
    }
    if tagged.taggings:
        found["taggings"] = [
            {"probability": each.probability, "labels": list(each.labels), "spans": _spans(each.spans)}
            for each in tagged.taggings
        ]
    if tagged.marginals is not None:
        found["marginals"] = tagged.marginals.round(DIGITS).tolist()
    return found


def _spans(spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [
        {
            "label": span.label,
            "text": span.text,
            "start": span.start,
            "end": span.end,
            "score": round(span.score, DIGITS),
        }
        for span in spans
    ]
