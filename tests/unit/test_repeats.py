"""Which test sentences occur in text that students are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagdistill.artifacts.files import read_json
from tagdistill.data.corpus import write_corpus
from tagdistill.data.repeats import find_repeats
from tagdistill.data.same_sentences import are_in, not_in_tests, sentence_keys, written
from tagdistill.errors import DataError


@pytest.fixture
def corpus(tmp_path: Path):
    def write(language: str, split: str, *sentences: str) -> Path:
        path = tmp_path / language / f"{split}.parquet"
        write_corpus(
            path,
            ids=[f"{split}-{number}" for number in range(len(sentences))],
            tokens=[sentence.split(" ") for sentence in sentences],
            labels=None,
            metadata={"language": language, "split": split, "task": "pos", "labels": ["X"]},
        )
        return path

    return write


def test_a_test_sentence_is_looked_for_in_all_text_of_all_languages(corpus, tmp_path):
    seen = [
        corpus("fa", "train", "a b", "c"),
        corpus("fa", "unlabelled", "d e", "a b", "f"),
        corpus("en", "train", "g h", "d e"),
    ]
    tests = [
        corpus("fa", "test", "x", "a b", "d e", "g h", "a b", "a c"),
        corpus("en", "test", "x", "g h i"),
        corpus("de", "test", "f", "y"),
    ]
    find_repeats(seen, tests, tmp_path / "repeats.json")
    found = read_json(tmp_path / "repeats.json")
    assert (found["kind"], found["languages"]) == (
        "repeats",
        {
            "fa": {"sentences": 6, "train": 2, "unlabelled": 1, "other_languages": 1, "places": [1, 2, 3, 4]},
            "en": {"sentences": 2, "train": 0, "unlabelled": 0, "other_languages": 0, "places": []},
            "de": {"sentences": 2, "train": 0, "unlabelled": 0, "other_languages": 1, "places": [0]},
        },
    )


def test_the_same_words_have_the_same_key_and_others_another():
    keys = sentence_keys([["a", "b"], ["ab"], ["a b"], ["b", "a"], ["a", "b"], ["a", "", "b"], ["\ud800"]])
    assert keys.dtype == np.uint64 and keys[0] == keys[4] and len(set(keys.tolist())) == 6
    assert are_in(keys, np.unique(keys[1:3])).tolist() == [False, True, True, False, False, False, False]
    assert not are_in(keys, keys[:0]).any() and len(sentence_keys([])) == 0


def test_a_sentence_is_found_however_it_is_split_into_words(tmp_path):
    metadata = {"language": "fr", "split": "test", "task": "pos", "labels": ["X"]}
    gold = [["On", "parle", "de", "le", "chat", "."], ["Il", "va", "à", "les", "États", "-", "Unis"]]
    multiword = [[(2, 4, "du")], [(2, 4, "aux")]]
    write_corpus(
        tmp_path / "t.parquet", ids=["1", "2"], tokens=gold, labels=None, multiword=multiword, metadata=metadata
    )
    text = [
        "On parle du chat.",
        "On parle du chat .",
        "On parle de le chat .",
        "Il va aux États-Unis",
        "Il va",
        "du chat",
    ]
    sentences = [written(sentence.split()) for sentence in text]
    assert not_in_tests(sentences, [tmp_path / "t.parquet"], "text") == [2, 4, 5]
    with pytest.raises(DataError, match="none is left"):
        not_in_tests(sentences[:2], [tmp_path / "t.parquet"], "text")


def test_blanks_within_words_and_several_multiword_tokens_do_not_matter():
    assert written(["10 000", "a\u00a0b", "c"]) == "10000abc"
    assert written(["a", "b", "c", "d", "e"], [(0, 2, "X"), (3, 5, "Y")]) == "XcY"
    assert written([]) == ""
