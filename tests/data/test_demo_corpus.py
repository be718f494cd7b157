"""What the demo corpus promises: disjoint patterns, new names in test, clean tokens, one result everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest

from tagdistill.data import demo
from tagdistill.data.demo.expand import SLOT, expand, names, patterns
from tagdistill.errors import ConfigError

EVERY = demo.LANGUAGES + demo.ZERO_SHOT
LABELLED = [(lang, split) for lang in EVERY for split in demo.splits(lang) if split != "unlabelled"]
SIZES = {"train": 240, "dev": 60, "test": 80, "unlabelled": 200}
SCRIPTS = {"ru": "CYRILLIC", "uk": "CYRILLIC", "el": "GREEK", "ar": "ARABIC", "he": "HEBREW", "hi": "DEVANAGARI"}

TYPES = ("PER", "LOC", "ORG")


def mentions(tokens: list[str], labels: list[str]) -> list[tuple[str, str]]:
    """Return (surface form, type) of each mention; an ill-formed label sequence fails."""
    found: list[tuple[str, str]] = []
    open_at: int | None = None
    for i, label in enumerate(labels):
        place, _, kind = label.partition("-")
        assert (place in "IE") == (open_at is not None), labels
        if place in "SB":
            open_at = i
        if place in "SE":
            assert open_at is not None and {x[2:] for x in labels[open_at : i + 1]} == {kind}
            found.append((" ".join(tokens[open_at : i + 1]), kind))
            open_at = None
    assert open_at is None
    return found


def surfaces(language: str, split: str) -> list[str]:
    return [surface for sentence in demo.sentences(language, split) for surface, _ in mentions(*sentence)]


def frame(tokens: list[str], labels: list[str]) -> str:
    """Return the sentence with each mention replaced by its type."""
    pairs = zip(tokens, labels, strict=True)
    return " ".join(word if label == "O" else label[2:] for word, label in pairs if label[0] in "OSB")


def test_there_are_six_trained_and_four_zero_shot_languages():
    assert (len(demo.LANGUAGES), len(demo.ZERO_SHOT)) == (6, 4)
    assert all(demo.splits(lang) == ("train", "dev", "test", "unlabelled") for lang in demo.LANGUAGES)
    assert all(demo.splits(lang) == ("test",) for lang in demo.ZERO_SHOT)


def test_an_unknown_language_or_split_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'hi'"):
        demo.splits("hin")
    with pytest.raises(ConfigError, match="Did you mean 'test'"):
        demo.sentences("de", "tests")
    with pytest.raises(ConfigError):
        demo.sentences("de", "train")


@pytest.mark.parametrize("language", EVERY)
def test_every_split_has_its_number_of_distinct_sentences_and_shares_none(language: str):
    seen = Counter()
    for split in demo.splits(language):
        found = {" ".join(tokens) for tokens, _ in demo.sentences(language, split)}
        assert len(found) == len(demo.sentences(language, split)) == SIZES[split]
        seen.update(found)
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("language", demo.LANGUAGES)
def test_patterns_are_many_and_disjoint(language: str):
    lines = patterns(language)
    assert len(lines["train"]) >= 60 and len(lines["dev"]) >= 20 and len(lines["test"]) >= 28
    assert len(set().union(*lines.values())) == sum(map(len, lines.values()))
    frames = {split: {frame(*s) for s in demo.sentences(language, split)} for split in ("train", "dev", "test")}
    assert all(frames[a].isdisjoint(frames[b]) for a, b in (("train", "dev"), ("train", "test"), ("dev", "test")))


@pytest.mark.parametrize("language", demo.ZERO_SHOT)
def test_zero_shot_patterns_are_many(language: str):
    assert len(set(patterns(language)["test"])) >= 28


@pytest.mark.parametrize(("language", "split"), LABELLED)
def test_every_sentence_is_filled_and_every_pattern_used(language: str, split: str):
    assert not any(set("{}|") & set("".join(tokens)) for tokens, _ in demo.sentences(language, split))
    assert SIZES[split] >= len(patterns(language)[split])


@pytest.mark.parametrize("language", demo.LANGUAGES)
def test_each_language_has_enough_names(language: str):
    lemmas = {kind: {n.lemma for n in names(language) if n.kind == kind} for kind in TYPES}
    assert len(lemmas["PER"]) >= 60 and len(lemmas["LOC"]) >= 60 and len(lemmas["ORG"]) >= 45


@pytest.mark.parametrize("language", EVERY)
def test_at_least_half_of_the_test_names_are_new(language: str):
    trained = [language] if language in demo.LANGUAGES else demo.LANGUAGES
    known = {surface for lang in trained for surface in surfaces(lang, "train")}
    test = surfaces(language, "test")
    assert sum(s not in known for s in test) >= len(test) / 2
    assert sum(s not in known for s in set(test)) >= len(set(test)) / 2


@pytest.mark.parametrize("language", demo.LANGUAGES)
def test_unlabelled_names_are_in_no_labelled_train_or_test_sentence(language: str):
    assert all(labels == [] for _, labels in demo.sentences(language, "unlabelled"))
    hidden = [(list(s.tokens), list(s.labels)) for s in expand(language, "unlabelled", SIZES["unlabelled"])]
    spare = {surface for sentence in hidden for surface, _ in mentions(*sentence)}
    assert spare and spare.isdisjoint({*surfaces(language, "train"), *surfaces(language, "test")})


@pytest.mark.parametrize(("language", "split"), LABELLED)
def test_types_and_places_are_mixed(language: str, split: str):
    found = [mentions(*sentence) for sentence in demo.sentences(language, split)]
    assert {kind for sentence in found for _, kind in sentence} == set(TYPES)
    sizes = Counter(map(len, found))
    assert 0.09 <= sizes[0] / len(found) <= 0.16
    assert max(sizes) <= 4 and sizes[2] + sizes[3] + sizes[4] >= len(found) / 4


@pytest.mark.parametrize("language", demo.LANGUAGES)
def test_train_has_every_label(language: str):
    found = {label for _, labels in demo.sentences(language, "train") for label in labels}
    assert {f"{place}-{kind}" for place in "BES" for kind in TYPES} | {"O"} <= found
    assert found & {f"I-{kind}" for kind in TYPES}


@pytest.mark.parametrize("language", demo.LANGUAGES)
def test_some_names_have_two_types(language: str):
    kinds: dict[str, set[str]] = {}
    for name in names(language):
        kinds.setdefault(name.lemma, set()).add(name.kind)
    assert sum(len(k) > 1 for k in kinds.values()) >= 2


@pytest.mark.parametrize("language", EVERY)
def test_tokens_are_clean_and_in_the_script_of_the_language(language: str):
    script = SCRIPTS.get(language, "LATIN")
    for split in demo.splits(language):
        for tokens, labels in demo.sentences(language, split):
            assert split == "unlabelled" or len(tokens) == len(labels)
            for token in tokens:
                assert token and not any(c.isspace() for c in token)
                assert token == unicodedata.normalize("NFC", token)
                assert all(unicodedata.name(c).startswith(script) for c in token if c.isalpha()), token


@pytest.mark.parametrize("language", EVERY)
def test_punctuation_stands_alone(language: str):
    for split in demo.splits(language):
        for tokens, _ in demo.sentences(language, split):
            assert not any(len(t) > 1 and t[-1] in ".,!?;:؟،।«»" for t in tokens), tokens
            assert all(a != b or not a.isalpha() for a, b in pairwise(tokens)), tokens


def test_every_slot_is_understood():
    for language in EVERY:
        items = [
            i for lines in patterns(language).values() for line in lines for i in line.split() if "{" in i or "}" in i
        ]
        assert all((i.startswith("{=") and i.endswith("}")) or SLOT.fullmatch(i) for i in items)


def test_the_sentences_do_not_depend_on_the_process():
    code = (
        "import hashlib; from tagdistill.data import demo; "
        "print(hashlib.sha256(repr([demo.sentences(l, 'test') for l in ('en', 'hi', 'uk')]).encode()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_the_licence_says_what_to_know():
    text = demo.licence()
    assert "CC0" in text and "not been reviewed by native speakers" in text and "not a benchmark" in text
