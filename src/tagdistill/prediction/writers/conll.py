r"""Columns: token, `_` and label between TABs, an empty line between sentences.

That is the layout of the workflow's predictions, whose second column has the right labels. White space inside a token
is written as an escape, such as \u0020.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from tagdistill.evaluation.predictions import NO_GOLD, column_lines
from tagdistill.prediction.writer import Job, WriterFormat

if TYPE_CHECKING:
    from tagdistill.data.readers.format import Given
    from tagdistill.tagger.results import Tagged


class ConllWriter:
    """Writes one block of lines for each sentence."""

    def __init__(self, job: Job) -> None:
        self.sink, self.begun = job.sink, False

    def write(self, given: Given, tagged: Tagged) -> None:  # noqa: ARG002 (the interface)
        """Write the sentences of a text."""
        tokens = [tagged.text[start:end] for start, end in tagged.words]
        for first, end in tagged.sentences:
            lines = column_lines(tokens[first:end], [NO_GOLD] * (end - first), tagged.labels[first:end])
            self.sink.write((("\n" if self.begun else "") + lines).encode())
            self.begun = True


WRITER = WriterFormat(lambda job: nullcontext(ConllWriter(job)), endings=(".conll", ".tsv"))
