"""What real files hold, in small: each oddity becomes the corpus that it should, or an error that says what to do."""

from __future__ import annotations

import json

import pytest
from bioes import is_well_formed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagdistill.data.corpus import read_corpus
from tagdistill.data.labels import spans
from tagdistill.data.prepare import prepare
from tagdistill.data.report import report
from tagdistill.errors import DataError, TagdistillError
from tagdistill.settings.language import Language

FOUR = ("PER", "LOC", "ORG", "MISC")


@pytest.fixture
def corpus(tmp_path):
    def make(text: str | bytes, *, labels=FOUR, task="ner", split="train", **language):
        raw, out = tmp_path / "raw", tmp_path / f"{split}.parquet"
        raw.write_bytes(text if isinstance(text, bytes) else text.encode())
        options = Language.model_validate({"train": "raw", **language})
        prepare(raw, out, language="x", split=split, settings=options, task=task, labels=labels)
        return read_corpus(out)

    return make


def counts(corpus) -> dict[str, int]:
    return {kind: note["count"] for kind, note in corpus.metadata["notes"].items()}


def found(corpus) -> list[list[str]]:
    """Return the words and type of every span."""
    pairs = zip(corpus.tokens, corpus.labels, strict=True)
    return [[" ".join(t[a:b]) + "/" + kind for kind, a, b in spans(x)] for t, x in pairs]


def test_conll_2003_english_is_iob1(corpus):
    text = (
        "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\nPeter NNP I-NP I-PER\nBlackburn NNP I-NP I-PER\n"
    )
    text += "Ann NNP I-NP B-PER\n"
    read = corpus(text, scheme="IOB1", strict=True)
    assert found(read) == [["EU/ORG", "Peter Blackburn/PER", "Ann/PER"]]
    assert counts(read) == {"-DOCSTART- lines read as borders of documents": 1}


def test_conll_2003_german_is_latin_1_with_a_lemma(corpus):
    text = "-DOCSTART- -X- O O O\n\nMünchen München NE I-NC I-LOC\nist sein VAFIN I-VC O\n".encode("latin-1")
    assert found(corpus(text, scheme="IOB1", encoding="latin-1")) == [["München/LOC"]]
    with pytest.raises(DataError, match="not utf-8") as caught:
        corpus(text, scheme="IOB1")
    assert caught.value.where.endswith("raw:3") and "encoding: latin-1" in caught.value.hint


def test_docstart_inside_the_first_sentence_of_an_article(corpus):
    read = corpus("Ja J O\n\n-DOCSTART- -DOCSTART- O\nJan N B-PER\nkwam V O\n")
    assert read.tokens == [["Ja"], ["Jan", "kwam"]] and read.lines == [1, 4]


def test_a_file_without_one_empty_line_and_a_mistyped_tag(corpus):
    text = "".join(f"w{n} {'I-LOC' if n % 1000 == 7 else 'O'}\n" for n in range(3000))
    read = corpus(text)
    assert (len(read), read.lengths) == (1, [3000])
    assert counts(read) == {"badly started spans repaired": 3, "sentences of more than 1,000 words": 1}
    repaired = read.metadata["notes"]["badly started spans repaired"]["places"]
    assert len(repaired) == 3 and "raw:8: 'I-LOC' after 'O'" in repaired[0]
    with pytest.raises(DataError, match="label 'BER' is not in the label space") as caught:
        corpus(text + "Anna B-BER\n")
    assert "Did you mean 'PER'?" in caught.value.hint and caught.value.where.endswith("raw:3001")
    assert found(corpus(text + "Anna B-BER\n", label_map={"BER": "PER"}))[0][-1] == "Anna/PER"
    assert found(corpus(text + "Anna B-BER\n", label_map={"B-BER": "B-PER"}))[0][-1] == "Anna/PER"


def test_types_in_lower_case_and_a_tab_inside_a_token(corpus):
    text = "Janez B-per\nNovakov B-deriv-per\n30\t8230 O\nv O\nLjubljani B-loc\n"
    names = {"per": "PER", "loc": "LOC", "org": "ORG", "misc": "MISC", "deriv-per": "O"}
    read = corpus(text, label_map=names)
    assert found(read) == [["Janez/PER", "Ljubljani/LOC"]] and read.tokens[0][2] == "30\t8230"


def test_derived_and_nested_types_index_columns_and_source_lines(corpus):
    text = "#\thttp://x [2009]\n1\tDeutsche\tB-LOCderiv\tO\n2\tBank\tB-ORG\tB-ORGpart\n3\tUlm\tB-LOC\tO\n"
    layout = {"separator": "tab", "columns": {"token": 1, "tag": 2}, "comment": "#\t"}
    read = corpus(text, label_map={"LOCderiv": "O"}, **layout)
    assert found(read) == [["Bank/ORG", "Ulm/LOC"]]
    assert found(corpus(text, labels=("ORGpart",), **layout | {"columns": {"token": 1, "tag": 3}})) == [
        ["Bank/ORGpart"]
    ]


def test_comments_a_fourth_type_and_tokens_with_a_space(corpus):
    text = "# sent_id = 1\n1\t20 000\tO\t-\tx\n2\t#\tO\t-\tx\n3\tZagreb\tI-LOC\t-\tx\n4\tHNS\tB-OTH\t-\tx\n"
    layout = {"separator": "tab", "columns": {"token": 1, "tag": 2}, "comment": "# "}
    read = corpus(text, label_map={"OTH": "MISC"}, **layout)
    assert read.tokens == [["20 000", "#", "Zagreb", "HNS"]] and found(read) == [["Zagreb/LOC", "HNS/MISC"]]
    assert counts(read)["badly started spans repaired"] == 1
    with pytest.raises(DataError, match="label 'OTH'") as caught:
        corpus(text, **layout)
    assert "Found in this file: LOC, OTH" in caught.value.hint


def test_a_piece_of_a_long_sentence_may_begin_inside_a_span(corpus):
    read = corpus("a\tI-LOC\nb\tO\n\nc\tO\n", separator="tab")
    assert found(read) == [["a/LOC"], []] and counts(read)["badly started spans repaired"] == 1


def test_wikiann_tokens_that_are_or_hold_a_colon(corpus):
    read = corpus("fa::\tO\nfa:a:b\tB-PER\nfa:::\tI-PER\n", format="wikiann", labels=("PER", "LOC", "ORG"))
    assert read.tokens == [[":", "a:b", "::"]] and found(read) == [["a:b ::/PER"]]


def test_words_are_kept_as_they_are_spelt(corpus, tmp_path):
    words = ["mi\u200cravad", "o\u0323\u0300", "a\ufffdb", "a\u00a0b", "so\u00adft", "\u200b"]
    read = corpus("".join(f"{word}\tO\n" for word in words), separator="tab")
    assert read.tokens == [words]
    report({"train": tmp_path / "train.parquet"}, tmp_path / "report.json")
    facts = json.loads((tmp_path / "report.json").read_text())["splits"]["train"]["characters"]
    assert facts == {
        "zero_width": 3,
        "only_zero_width": 1,
        "no_break_space": 1,
        "other_white_space": 0,
        "replacement_character": 1,
        "not_nfc": 1,
    }


def conllu(*rows: str) -> str:
    return (
        "".join(f"{number}\t{form}\t_\t{tag}" + "\t_" * 6 + "\n" for number, form, tag in map(str.split, rows)) + "\n"
    )


def test_parts_of_a_range_without_a_form_and_real_underscores(corpus):
    text = conllu("1 _ PUNCT", "2-3 okurken _", "2 oku VERB", "3 _ AUX", "3.1 boş VERB", "4 . PUNCT")
    read = corpus(text, format="conllu", task="pos", labels="upos")
    assert list(read.tokens) == [["_", "oku", "_", "."]] and list(read.multiword) == [[(1, 3, "okurken")]]
    assert list(read.labels) == [["PUNCT", "VERB", "AUX", "PUNCT"]] and counts(read)["empty nodes left out"] == 1


REVIEWS = """<Reviews><Review><sentences><sentence id="1"><text>Good pizza here.</text><Opinions>
<Opinion target="pizza" from="5" to="10"/><Opinion target="pizza" from="5" to="10"/>
<Opinion target="NULL" from="0" to="0"/><Opinion target="pasta" from="5" to="10"/></Opinions></sentence>
</sentences></Review></Reviews>"""


def test_opinions_that_are_no_spans_are_counted_in_the_report(corpus, tmp_path):
    read = corpus(REVIEWS, format="semeval_xml", task="aspect", labels=("TARGET",), scheme="BIOES")
    assert found(read) == [["pizza/TARGET"]] and read.labels[0][1] == "S-TARGET"
    report({"train": tmp_path / "train.parquet"}, tmp_path / "report.json")
    facts = json.loads((tmp_path / "report.json").read_text())["splits"]["train"]["notes"]
    assert {kind: note["count"] for kind, note in facts.items()} == {
        "opinions without a target (NULL)": 1,
        "targets lost, whose offsets do not give their text": 1,
        "repeated targets, read once": 1,
    }


FILES = {
    "conllu": conllu("1-2 au _", "1 à ADP", "2 le DET", "2.1 x VERB", "3 _ PUNCT"),
    "conll": "-DOCSTART- -X- O\n\nEU N B-ORG\nso\u200cft N I-ORG\n\nAnn N I-PER\n",
    "wikiann": "fa::\tO\nfa:a\tB-PER\n\nfa:b\tI-LOC\n",
    "semeval_xml": REVIEWS,
}
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 399),
        st.sampled_from(["", "\n", "\t", " ", "#", "1", "-", ":", "<", '"', "B-", "\x00", "\u2028", "é"]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(kind=st.sampled_from(sorted(FILES)), changes=CHANGES, cut=st.integers(0, 400))
def test_no_change_to_a_real_looking_file_ends_in_anything_but_a_corpus_or_our_own_error(corpus, kind, changes, cut):
    text = list(FILES[kind])
    for place, what in changes:
        text[place % len(text)] = what
    options = {"format": kind, "task": "pos", "labels": "upos"} if kind == "conllu" else {"format": kind}
    if kind == "semeval_xml":
        options |= {"task": "aspect", "labels": ("TARGET",)}
    try:
        read = corpus("".join(text)[: cut or None].encode(), **options)
    except TagdistillError as error:
        assert error.what and error.where
    else:
        assert all(map(len, read.tokens)) and all(map(is_well_formed, read.labels if kind != "conllu" else []))
