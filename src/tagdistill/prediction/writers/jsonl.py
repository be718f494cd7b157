"""JSON lines, one object for each text: its tokens, labels, and spans with offsets and probabilities."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tagdistill.prediction.writer import Job, WriterFormat

if TYPE_CHECKING:
    from tagdistill.data.readers.format import Given
    from tagdistill.tagger.results import Tagged


class JsonWriter:
    """Writes one line for each text."""

    def __init__(self, job: Job) -> None:
        self.sink = job.sink

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write a text."""
        self.sink.write((json.dumps(record(given, tagged), ensure_ascii=False) + "\n").encode())


def record(given: Given, tagged: Tagged) -> dict[str, Any]:
    """Return a labelled text as values of JSON; `sentences` are [first word, word after the last]."""
    spans = [
        {"label": span.label, "text": span.text, "start": span.start, "end": span.end, "score": round(span.score, 6)}
        for span in tagged
    ]
    return {
        **({"id": given.source_id} if given.source_id else {}),
        "text": tagged.text,
        "tokens": [tagged.text[start:end] for start, end in tagged.words],
        "labels": list(tagged.labels),
        "sentences": [list(bounds) for bounds in tagged.sentences],
        "spans": spans,
    }


WRITER = WriterFormat(lambda job: nullcontext(JsonWriter(job)), endings=(".jsonl", ".json", ".ndjson"))
