"""A component of spaCy pipelines: `nlp.add_pipe("tagdistill", config={"model": FOLDER})`.

spaCy finds it by the entry point of the installed package.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from spacy.util import filter_spans

from tagdistill.data.labels import has_spans
from tagdistill.errors import ConfigError
from tagdistill.tagger.open import open_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from spacy.tokens import Doc

    from tagdistill.tagger.results import Tagged
    from tagdistill.tagger.tagger import Tagger

DEFAULTS = {"model": "", "precision": None, "device": "cpu", "threads": 1}


class TaggerComponent:
    """Sets `doc.ents` by the spans of a tagger, or `token.tag_` by its parts of speech.

    The text is split by the tagger, not by spaCy: a span that ends inside of a token of spaCy's is widened to the whole
    token (`alignment_mode="expand"`); of two that meet in a token then, the longer one stays. Scores are in
    `doc.user_data["tagdistill"]`, as (label, start, end, score) of the tagger's own spans.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger

    def __call__(self, doc: Doc) -> Doc:
        """Label a text."""
        return self._labelled(doc, self.tagger(doc.text))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 256) -> Iterator[Doc]:
        """Label many texts, in batches."""
        docs = iter(stream)
        while batch := list(islice(docs, batch_size)):
            yield from map(self._labelled, batch, self.tagger([doc.text for doc in batch]))

    def _labelled(self, doc: Doc, tagged: Tagged) -> Doc:
        doc.user_data["tagdistill"] = [(span.label, span.start, span.end, span.score) for span in tagged]
        found = (doc.char_span(span.start, span.end, span.label, alignment_mode="expand") for span in tagged)
        spans = [span for span in found if span is not None]
        if has_spans(self.tagger.labels):
            doc.set_ents(filter_spans(spans), default="outside")
            return doc
        for span in reversed(spans):  # of a token that the tagger splits, the first part's stays
            for token in span:
                token.tag_ = span.label_
        return doc


@Language.factory("tagdistill", default_config=DEFAULTS, assigns=["doc.ents", "token.ent_type", "token.tag"])
def make(
    nlp: Language, name: str, model: str, precision: str | None, device: str, threads: int | None
) -> TaggerComponent:
    """Return the component. Raises ConfigError without a model, TagdistillError for one that cannot be opened."""
    if not model:
        hint = 'Write nlp.add_pipe("tagdistill", config={"model": FOLDER}).'
        raise ConfigError("the component needs a model", where=name, hint=hint)
    options: dict[str, Any] = {"precision": precision, "device": device, "threads": threads}
    return TaggerComponent(open_model(model, **options))
