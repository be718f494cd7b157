"""A page with coloured spans, or parts of speech, that needs no other file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from markupsafe import escape

from tagdistill.data.labels import has_spans, types_of
from tagdistill.prediction.writer import Job, WriterFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tagdistill.data.readers.format import Given
    from tagdistill.tagger.results import Span, Tagged

START = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="tagdistill">
"""
STYLE = """\
:root { color-scheme: light dark; }
body { font: 1.05rem/2 system-ui, sans-serif; margin: 2rem auto; max-width: 55rem; padding: 0 1rem; }
p { margin: 0.4rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
mark { border-radius: 0.3rem; color: inherit; padding: 0.1rem 0.25rem; unicode-bidi: isolate; }
mark small { font-size: 0.65em; font-weight: 600; margin-inline-start: 0.35em; opacity: 0.8; }
"""
GOLDEN = 137.5  # degrees between the colours of neighbours, so that no two of a few are alike
UNPRINTABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "�")  # no characters of HTML


class HtmlWriter:
    """Writes one paragraph for each text."""

    def __init__(self, job: Job) -> None:
        self.sink = job.sink
        kinds = types_of(job.labels) if has_spans(job.labels) else job.labels
        self.classes = {kind: f"c{number}" for number, kind in enumerate(kinds)}
        self.sink.write("".join(_head(job.title, self.classes)).encode())

    def write(self, given: Given, tagged: Tagged) -> None:  # noqa: ARG002 (the interface)
        """Write a text; the browser finds out in which direction it is read."""
        self.sink.write(f'<p dir="auto">{"".join(self._parts(tagged.text, tagged))}</p>\n'.encode())

    def _parts(self, text: str, spans: Sequence[Span]) -> Iterator[str]:
        place = 0
        for span in spans:
            yield _safe(text[place : span.start])
            label, kind = _safe(span.label), self.classes[span.label]
            yield f'<mark class="{kind}" title="{label} {span.score:.3f}">'
            yield f"{_safe(span.text)}<small>{label}</small></mark>"
            place = span.end
        yield _safe(text[place:])


def _head(title: str, classes: dict[str, str]) -> Iterator[str]:
    name = _safe(title)
    yield f"{START}<title>{name}</title>\n<style>\n{STYLE}"
    for number, kind in enumerate(classes.values()):
        yield f".{kind} {{ background: hsl({GOLDEN * number % 360:.0f} 70% 60% / 40%); }}\n"
    yield f"</style>\n</head>\n<body>\n<h1>{name}</h1>\n<p>"
    yield " ".join(f'<mark class="{kind}">{_safe(label)}</mark>' for label, kind in classes.items())
    yield "</p>\n<hr>\n"


def _safe(text: str) -> str:
    return str(escape(text.translate(UNPRINTABLE)))


@contextmanager
def _page(job: Job) -> Iterator[HtmlWriter]:
    yield HtmlWriter(job)
    job.sink.write(b"</body>\n</html>\n")


WRITER = WriterFormat(_page, endings=(".html", ".htm"))
