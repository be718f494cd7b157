"""The tagger as a component of spaCy's pipelines."""

from __future__ import annotations

import pytest

pytest.importorskip("spacy", reason="no spaCy here (the extra `spacy`): its component is not tested")

import spacy
from test_splitting import SCRIPTS
from tiny_runs import make_corpus
from tiny_taggers import exported

from tagdistill import Tagger
from tagdistill.data.labels import UPOS
from tagdistill.errors import ConfigError
from tagdistill.tagger import spacy_component
from tagdistill.tagger.results import Span, Tagged


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def nlp(folder):
    found = spacy.blank("xx")
    found.add_pipe("tagdistill", config={"model": str(folder)})
    return found


def test_entities_are_the_spans_of_the_tagger_in_any_script(nlp, folder):
    tagger = Tagger.from_pretrained(folder, threads=1)
    texts = [*SCRIPTS.values(), "Angela Merkel war in Paris.\nEr 𝔸 nicht.", ""]
    for text, doc, tagged in zip(texts, nlp.pipe(texts), tagger(texts), strict=True):
        assert doc.user_data["tagdistill"] == [(x.label, x.start, x.end, x.score) for x in tagged]
        for entity in doc.ents:
            assert text[entity.start_char : entity.end_char] == entity.text
        whole = {(x.label, x.start, x.end) for x in tagged if doc.char_span(x.start, x.end) is not None}
        found = {(x.label_, x.start_char, x.end_char) for x in doc.ents}
        assert len(whole - found) <= len(tagged) - len(whole)  # one that overlaps a widened span may have to go
        assert [x.text for x in nlp(text).ents] == [x.text for x in doc.ents]


def test_a_span_inside_of_a_token_is_widened_to_it():
    text = "e-mail Ada"

    class Fixed:
        labels = ("O", "S-PER", "S-LOC")

        def __call__(self, given):
            spans = [Span("PER", "mail", 2, 6, 0.5, (0, 1)), Span("LOC", "Ada", 7, 10, 0.5, (1, 2))]
            return Tagged(given, (), (), (), tuple(spans))

    doc = spacy.tokens.Doc(spacy.blank("xx").vocab, words=["e-mail", "Ada"], spaces=[True, False])
    found = spacy_component.TaggerComponent(Fixed())(doc)
    assert [(x.text, x.label_) for x in found.ents] == [("e-mail", "PER"), ("Ada", "LOC")] and doc.text == text


def test_parts_of_speech_are_tags(tmp_path):
    corpus = make_corpus(tmp_path / "data", "en", "test", 10)
    folder = exported(tmp_path, corpora=[corpus], labels=UPOS, task="pos", head="linear")
    component = spacy_component.TaggerComponent(Tagger.from_pretrained(folder, threads=1))
    doc = component(spacy.blank("xx")("Angela Merkel war in Paris."))
    assert [token.tag_ for token in doc] == list(component.tagger("Angela Merkel war in Paris.").labels)


def test_a_component_without_a_model_is_told_how_to_give_it():
    with pytest.raises(ConfigError, match="needs a model"):
        spacy.blank("xx").add_pipe("tagdistill")
