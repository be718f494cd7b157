"""Label spaces, span readings, repairs, and what may follow what."""

from __future__ import annotations

import itertools

import pytest
from bioes import is_well_formed
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOBES, Entities

from tagdistill.data.convert_labels import convert, unknown_label
from tagdistill.data.labels import UPOS, from_spans, has_spans, label_list, runs, spans, types_of
from tagdistill.data.readers.lines import Sentence
from tagdistill.data.schemes import BadTag, to_bioes
from tagdistill.data.transitions import allowed_transitions
from tagdistill.errors import ConfigError, DataError
from tagdistill.settings.language import Language

LABELS = label_list("ner", ["PER", "LOC"])
BIOES = st.lists(st.sampled_from(LABELS), max_size=9)
IOB = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=9)


def test_label_lists_start_with_o_and_keep_the_config_order_of_types():
    assert LABELS == ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
    assert label_list("aspect", ("TARGET",)) == ("O", "B-TARGET", "I-TARGET", "E-TARGET", "S-TARGET")
    assert types_of(LABELS) == ("PER", "LOC")


def test_upos_is_alphabetical_and_whole():
    assert label_list("pos", "upos") == UPOS == tuple(sorted(UPOS)) and len(set(UPOS)) == 17
    assert not has_spans(UPOS) and has_spans(LABELS)


@pytest.mark.parametrize(
    ("task", "labels", "word"),
    [
        ("ner", "upos", "needs a list of entity types"),
        ("pos", ["N", "V"], "needs `labels: upos`"),
        ("pos", "xpos", "needs `labels: upos`"),
        ("ner", "PER", "no list of types"),
        ("ner", [], "no list of types"),
        ("ner", ["PER", "PER"], "twice"),
        ("ner", ["O"], "in every label list"),
        ("ner", ["a b"], "white space"),
        ("ner", [""], "empty"),
        ("ner", ["LOC", "PER-"], "'PER-' cannot be a type: it begins or ends with a hyphen"),
        ("ner", ["-PER"], r"with a hyphen.*\n  Call it 'PER', .*`label_map: {'-PER': 'PER'}`\."),
        ("ner", ["-"], "with a hyphen"),
    ],
)
def test_a_bad_label_list_is_refused(task, labels, word):
    with pytest.raises(ConfigError, match=word):
        label_list(task, labels)


def test_only_whole_spans_count():
    assert spans(["B-PER", "I-PER", "E-PER", "O", "S-LOC"]) == [("PER", 0, 3), ("LOC", 4, 5)]
    assert spans(["B-PER", "O"]) == spans(["I-PER", "E-PER"]) == spans(["B-PER", "E-LOC"]) == []
    assert spans(["B-PER", "B-PER", "E-PER"]) == [("PER", 1, 3)]
    assert spans([]) == []


@given(BIOES)
def test_the_strict_reading_is_that_of_seqeval(labels):
    expected = [(e.tag, e.start, e.end) for e in Entities([labels], IOBES).entities[0]]
    assert spans(labels) == expected


@given(BIOES | IOB)
def test_the_lenient_reading_is_that_of_conlleval(labels):
    # seqeval's `get_entities` is a port of conlleval; its ends are inclusive, and it warns of nothing here.
    assert list(runs(labels)) == [(kind, start, end + 1) for kind, start, end in get_entities(labels)]


def test_iob1_knows_where_neighbours_begin():
    tags = ["I-PER", "I-PER", "B-PER", "I-LOC", "O", "I-LOC"]
    assert to_bioes(tags, "IOB1") == (["B-PER", "E-PER", "S-PER", "S-LOC", "O", "S-LOC"], [])


def test_badly_started_spans_are_repaired_and_counted():
    tags = ["I-PER", "O", "B-LOC", "I-PER", "I-PER", "O", "I-LOC"]
    labels, repaired = to_bioes(tags, "IOB2")
    assert labels == ["S-PER", "O", "S-LOC", "B-PER", "E-PER", "O", "S-LOC"]
    assert repaired == [0, 3, 6]


def test_bioes_is_repaired_where_neighbours_contradict_it():
    assert to_bioes(["B-PER", "O", "I-LOC", "E-LOC"], "BIOES") == (["S-PER", "O", "B-LOC", "E-LOC"], [0, 2])


@given(st.lists(st.tuples(st.sampled_from(["PER", "LOC", "deriv-per", None]), st.integers(1, 4)), max_size=5))
def test_every_scheme_says_the_same_spans(runs):
    iob1, iob2, bioes, before = [], [], [], None
    for kind, length in runs:
        if kind is None:
            iob1, iob2, bioes = ([*tags, *["O"] * length] for tags in (iob1, iob2, bioes))
        else:
            inside = [f"I-{kind}"] * (length - 1)
            iob1 += [f"B-{kind}" if before == kind else f"I-{kind}", *inside]
            iob2 += [f"B-{kind}", *inside]
            bioes += from_spans([(kind, 0, length)], length)
        before = kind
    for tags, scheme in ((iob1, "IOB1"), (iob2, "IOB2"), (bioes, "BIOES")):
        assert to_bioes(tags, scheme) == (bioes, [])
    assert is_well_formed(bioes) and from_spans(spans(bioes), len(bioes)) == bioes


@given(BIOES | IOB, st.sampled_from(["IOB1", "IOB2", "BIOES"]))
def test_what_comes_out_is_always_well_formed(tags, scheme):
    if scheme != "BIOES" and any(tag[0] in "ES" for tag in tags):
        with pytest.raises(BadTag):
            to_bioes(tags, scheme)
    else:
        assert is_well_formed(to_bioes(tags, scheme)[0])


def test_renaming_types_keeps_neighbours_apart():
    tags = ["I-PERSON", "I-PLACE", "I-TIME"]
    labels, _ = to_bioes(tags, "IOB1", {"PERSON": "X", "PLACE": "X", "TIME": "O"})
    assert labels == ["S-X", "S-X", "O"]


@pytest.mark.parametrize(
    ("tag", "scheme"),
    [("S-PER", "IOB2"), ("PER", "IOB2"), ("B-", "IOB1"), ("", "IOB1"), ("BI-PER", "IOB2"), ("L-PER", "BIOES")],
)
def test_a_tag_of_no_scheme_says_where_it_stands(tag, scheme):
    with pytest.raises(BadTag, match="is not") as caught:
        to_bioes(["O", tag], scheme)
    assert (caught.value.position, caught.value.tag) == (1, tag)


def test_an_unknown_label_is_named_with_its_nearest_and_all_that_were_found():
    text = str(unknown_label("PERS", ["PER", "LOC"], ["PERS", "LOC"], "a.conll:3"))
    assert text.startswith("a.conll:3: label 'PERS'")
    assert "Did you mean 'PER'?" in text and "Found in this file: LOC, PERS." in text
    assert text.endswith('`label_map: {"*": O}`; or add it to `labels:`.')


def test_an_unknown_part_of_speech_is_not_said_to_become_o_nor_a_label():
    settings = Language.model_validate({"format": "conll", "train": "x"})
    with pytest.raises(DataError, match="label 'NN' is not in the label space") as caught:
        convert([Sentence(["a"], ["NN"], [1])], UPOS, settings, "IOB2", "pos", "x")
    assert caught.value.hint.endswith("or rename it: `label_map: {NN: ...}`.")


def test_the_masks_allow_exactly_the_well_formed_sequences():
    start, between, end = allowed_transitions(LABELS)
    assert between.shape == (9, 9) and between.dtype == start.dtype == end.dtype == bool
    for length in (1, 2, 3):
        for path in itertools.product(range(len(LABELS)), repeat=length):
            allowed = start[path[0]] and end[path[-1]] and all(between[a, b] for a, b in itertools.pairwise(path))
            labels = [LABELS[y] for y in path]
            assert allowed == is_well_formed(labels) == (from_spans(spans(labels), length) == labels)


def test_a_tag_set_has_no_rules():
    start, between, end = allowed_transitions(UPOS)
    assert start.all() and between.all() and end.all() and between.shape == (17, 17)
