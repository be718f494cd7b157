"""JSON lines, one object for each text: its tokens, labels, and spans with offsets and probabilities."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

from tagdistill.prediction.writer import Job, WriterFormat
from tagdistill.tagger.records import record

if TYPE_CHECKING:
    from tagdistill.data.readers.format import Given
    from tagdistill.tagger.results import Tagged


class JsonWriter:
    """Writes one line for each text."""

    def __init__(self, job: Job) -> None:
        self.sink = job.sink

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write a text."""
        self.sink.write((json.dumps(record(tagged, given.source_id), ensure_ascii=False) + "\n").encode())


WRITER = WriterFormat(lambda job: nullcontext(JsonWriter(job)), endings=(".jsonl", ".json", ".ndjson"))
