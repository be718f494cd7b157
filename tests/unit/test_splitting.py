"""Raw text is split into sentences and words whose offsets fit, in any script."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagdistill.encoders.providers.tiny import tiny_tokenizer
from tagdistill.errors import DataError, TagdistillError
from tagdistill.tagger import splitting
from tagdistill.tagger.splitting import Splitter, as_written, choose_splitter, kept_whole

SCRIPTS = {
    "Latin": "Angela Merkel war in Paris. Sie kam aus Köln!",
    "Greek": "Η Αθήνα είναι η πρωτεύουσα. Γεια σου.",
    "Cyrillic": "Москва — столица России. Правда?",
    "Arabic": "ذهب محمد إلى القاهرة؟ نعم، ذهب.",
    "Hebrew": "ירושלים היא עיר. כן.",
    "Devanagari": "दिल्ली भारत की राजधानी है। वह गया।",
    "Han": "东京是日本的首都。我爱北京！",
    "Kana": "ラーメンが好き。カタカナー",
    "Thai": "กรุงเทพมหานครเป็นเมืองหลวง สวัสดี",
    "Hangul": "서울은 한국의 수도이다. 네.",
    "Georgian": "თბილისი დედაქალაქია. კი.",
    "Ethiopic": "አዲስ አበባ ዋና ከተማ ነው። አዎ።",
}
HAS_ICU = find_spec("icu4py") is not None
WAYS = [
    Splitter(words, unspaced, tiny_tokenizer())
    for words in ("punctuation", "inner_punctuation")
    for unspaced in ("characters", "pieces", *(["icu"] if HAS_ICU else []))
]
INNER = Splitter("inner_punctuation", "characters", tiny_tokenizer())
needs_icu = pytest.mark.skipif(not HAS_ICU, reason="icu4py is not installed (extra icu)")


def split(text: str, splitter: Splitter = WAYS[0]) -> list[list[str]]:
    return [[text[start:end] for start, end in sentence] for sentence in splitter.sentences(text)]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("splitter", WAYS, ids=lambda way: f"{way.words}-{way.unspaced}")
def test_words_cover_all_that_is_no_blank_in_their_order(script, splitter):
    text = SCRIPTS[script]
    found = list(splitter.sentences(text))
    offsets = [word for sentence in found for word in sentence]
    assert all(left[1] <= right[0] for left, right in pairwise(offsets))
    assert "".join(text[start:end] for start, end in offsets) == "".join(text.split())
    assert len(found) == (1 if script == "Thai" else 2)  # Thai marks no end of a sentence


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(WAYS))
def test_offsets_of_any_text_are_in_order_and_no_word_is_empty(text, splitter):
    offsets = [word for sentence in splitter.sentences(text) for word in sentence]
    assert all(start < end for start, end in offsets) and all(sentence for sentence in splitter.sentences(text))
    assert all(left[1] <= right[0] for left, right in pairwise(offsets))
    assert not offsets or offsets[-1][1] <= len(text)


def test_sentences_end_at_marks_and_lines_but_not_after_titles_and_initials():
    text = 'Dr. Smith of the U.S. Army met J. R. Smith. He left at 3.50 p.m. and ate.\nYes.\r\n\r\n"No!" said she. Fin'
    found = [" ".join(words) for words in split(text, INNER)]
    assert found == [
        "Dr . Smith of the U.S . Army met J . R . Smith .",
        "He left at 3.50 p.m . and ate .",
        "Yes .",
        '" No ! " said she .',
        "Fin",
    ]


def test_punctuation_inside_words_and_apart():
    text = "L'homme, e-mail: 1,000.5!"
    assert split(text, WAYS[0]) == [["L", "'", "homme", ",", "e", "-", "mail", ":", "1", ",", "000", ".", "5", "!"]]
    assert split(text, INNER) == [["L'homme", ",", "e-mail", ":", "1,000.5", "!"]]


def test_scripts_without_blanks_are_cut_into_characters_with_their_signs():
    assert split("สวัสดีTokyo東京") == [["ส", "วั", "ส", "ดี", "Tokyo", "東", "京"]]


def test_several_dots_or_blanks_are_one_end_and_a_small_letter_goes_on():
    assert split("Wait... Going… Never.  Yes?!  But he came at 3 p.m.  and left...  early. J... No.") == [
        ["Wait", ".", ".", "."],
        ["Going", "…"],
        ["Never", "."],
        ["Yes", "?", "!"],
        ["But", "he", "came", "at", "3", "p", ".", "m", ".", "and", "left", ".", ".", ".", "early", "."],
        ["J", ".", ".", "."],
        ["No", "."],
    ]


@pytest.mark.parametrize("unit", [" ", ".", "!", '."', "\r\n", "\0", "e\u0301", "ก", "東。"])
def test_long_texts_take_no_longer_for_each_character(unit):
    """Each of these has made a regular expression start again at every character, or fail."""
    start = time.process_time()
    list(INNER.sentences(unit * (100_000 // len(unit)) + "a"))
    assert time.process_time() - start < 5


def test_sentences_are_the_same_wherever_a_block_ends(monkeypatch):
    text = "Dr. Smith left...  A man.\nNo end here but words and words. " + " ".join(SCRIPTS.values()) + " " * 60 + "x."
    whole = list(INNER.sentences(text))
    for block in range(70, 90):
        monkeypatch.setattr("tagdistill.tagger.splitting.BLOCK", block)
        assert list(INNER.sentences(text)) == whole
    monkeypatch.setattr("tagdistill.tagger.splitting.BLOCK", 10)  # longer sentences are cut between words
    assert split("one two three. X four " + "y" * 25, INNER) == [
        ["one", "two"],
        ["three", "."],
        ["X", "four"],
        ["y" * 10],
        ["y" * 10],
        ["y" * 5],
    ]


def test_a_text_without_words_has_no_sentence():
    assert split("") == split(" \n\t ") == split("\0" * 1000 + "\x1f\x7f") == []
    assert split("a\0b \0") == split("a\0b \0", INNER) == [["a", "b"]]


def test_a_lone_surrogate_is_refused_with_its_place():
    with pytest.raises(DataError, match=r"character 2: U\+D83D is no character"):
        list(WAYS[0].sentences("ab\ud83d"))


def test_the_splitter_that_keeps_most_words_of_a_text_is_chosen():
    tokenizer = tiny_tokenizer()

    def chosen(*sentences: list[str], unspaced=None) -> tuple[str, float]:
        splitter = choose_splitter(sentences, tokenizer, unspaced)
        return splitter.name, kept_whole(splitter, sentences)

    assert chosen(["L'homme", "e-mail", "a"], ["U.S.", "a"]) == ("inner_punctuation+characters", 0.8)
    assert chosen(["東", "京", "a", "b"]) == ("punctuation+characters", 1.0)
    (pieces,) = split("東京日本語", Splitter(unspaced="pieces", tokenizer=tokenizer))
    assert chosen(pieces)[0] == ("punctuation+characters" if len(pieces) == 5 else "punctuation+pieces")
    assert chosen(["e-mail"], unspaced="pieces") == ("inner_punctuation+pieces", 1.0)
    assert kept_whole(INNER, []) == 1.0


def test_words_of_scripts_without_blanks_are_judged_as_they_are_written():
    words = ["東京", "へ", "Tokyo", "서울", "กรุงเทพ", "สวัสดี", "。", "a"]
    text, offsets = as_written(words)
    assert text == "東京へ Tokyo 서울 กรุงเทพสวัสดี 。 a"
    assert [text[start:end] for start, end in offsets] == words
    assert kept_whole(INNER, [["東", "京", "東京", "e-mail"]]) == 0.75


@needs_icu
def test_words_of_scripts_without_blanks_are_those_of_icu():
    way = Splitter("inner_punctuation", "icu")
    assert split("東京は日本の首都です。𠮷野家で食べた。", way) == [
        ["東京", "は", "日本", "の", "首都", "です", "。"],
        ["𠮷", "野家", "で", "食", "べた", "。"],  # beyond 16 bits: offsets are those of Python
    ]
    assert split("e-mail กรุงเทพมหานครเป็นเมืองหลวง", way) == [["e-mail", "กรุงเทพมหานคร", "เป็น", "เมือง", "หลวง"]]
    assert split("ភាសាខ្មែរជាភាសា ພາສາລາວເປັນພາສາ", way) == [["ភាសាខ្មែរ", "ជា", "ភាសា", "ພາສາ", "ລາວ", "ເປັນ", "ພາສາ"]]


def test_without_icu_only_text_that_needs_it_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "icu4py", None)
    monkeypatch.setitem(sys.modules, "icu4py.breakers", None)
    monkeypatch.setattr(splitting, "_icu_breaker", splitting._icu_breaker.__wrapped__)
    way = Splitter("inner_punctuation", "icu")
    assert split("No need of it.", way) == [["No", "need", "of", "it", "."]]
    with pytest.raises(TagdistillError, match=r"(?s)needs icu4py.*tagdistill\[icu\].*lists of words"):
        split("東京", way)
    with pytest.raises(TagdistillError, match=r"export\.unspaced: this needs icu4py"):
        choose_splitter([["a"]], tiny_tokenizer(), "icu")
