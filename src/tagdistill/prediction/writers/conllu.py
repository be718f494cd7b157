"""CoNLL-U with UPOS: all else of a CoNLL-U file stays as it is, byte for byte."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagdistill.errors import ConfigError
from tagdistill.prediction.writer import Job, Writer, WriterFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.data.readers.format import Given
    from tagdistill.tagger.results import Tagged

UPOS = 3
SIGNS = "\t\n"  # by which lines and columns are told apart in bytes
COPIED = ("conllu",)


@contextmanager
def _writer(job: Job) -> Iterator[Writer]:
    if job.task != "pos":
        what = "CoNLL-U has a column for parts of speech, and this model labels spans"
        raise ConfigError(what, where="--to", hint="Use `--to conll` or `--to jsonl`.")
    if job.format not in COPIED:
        yield ConlluWriter(job)
        return
    if SIGNS.encode(job.encoding) != SIGNS.encode():
        what = f"the lines of a file in {job.encoding} cannot be repeated"
        raise ConfigError(what, where="--encoding", hint="Convert it to utf-8.")
    yield FillingWriter(job)
    job.sink.write(b"".join(job.source.lines()))  # what follows the last sentence


class FillingWriter:
    """Writes the lines that were read, with the labels of the words."""

    def __init__(self, job: Job) -> None:
        self.sink, self.source = job.sink, job.source

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write all lines up to the last word of a sentence."""
        labels = dict(zip(given.lines, tagged.labels, strict=True))
        first = self.source.number + 1
        for number, line in enumerate(self.source.lines(given.lines[-1]), first):
            self.sink.write(_filled(line, labels[number]) if number in labels else line)


def _filled(line: bytes, label: str) -> bytes:
    fields = line.split(b"\t")
    return b"\t".join([*fields[:UPOS], label.encode(), *fields[UPOS + 1 :]])


class ConlluWriter:
    """Writes sentences whose text was in another format."""

    def __init__(self, job: Job) -> None:
        self.sink = job.sink

    def write(self, given: Given, tagged: Tagged) -> None:
        """Write the sentences of a text; `SpaceAfter=No` where raw text has no blank between words."""
        text, words = tagged.text, tagged.words
        for first, end in tagged.sentences:
            lines = [f"# text = {_one_line(text[words[first][0] : words[end - 1][1]])}"]
            if given.source_id:
                lines.insert(0, f"# source_id = {_one_line(given.source_id)}")
            for number, place in enumerate(range(first, end), 1):
                start, stop = words[place]
                joined = place + 1 < end and words[place + 1][0] == stop
                form, misc = _one_line(text[start:stop]) or "_", "SpaceAfter=No" if joined else "_"
                lines.append("\t".join([str(number), form, "_", tagged.labels[place], *"_____", misc]))
            self.sink.write(("\n".join(lines) + "\n\n").encode())


def _one_line(text: str) -> str:
    return " ".join(text.split())


WRITER = WriterFormat(_writer, endings=(".conllu",), copies=COPIED)
