"""Students as plain models of transformers: their logits are the emissions, and what has more is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import make_corpus
from tiny_taggers import saved_tagger

from tagdistill.data.corpus import read_corpus
from tagdistill.errors import TagdistillError
from tagdistill.export.huggingface import bio, write_plain
from tagdistill.tagger.tagger import Tagger

SCRIPTED = ["Ada", "Lovelace", ",", "أنجيلا", "ميركل", ",", "Анна", "Иванова", ",", "𝔸da"]
PLAIN = {"mode": "finetune", "head": "linear", "drop_bare_underline": False}


def plain(folder: Path, pooling: str) -> tuple[Path, Path]:
    """Return a student, and the plain model of it."""
    model = saved_tagger(folder, **PLAIN, pooling=pooling)
    write_plain(model, folder / "plain", "# A card\n")
    return model, folder / "plain"


def emissions(model: Path, sentences: list[list[str]]) -> list[np.ndarray]:
    tagger = Tagger.from_pretrained(model)
    return tagger._emissions([[sentence] for sentence in sentences], 64)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory) -> list[list[str]]:
    return [*read_corpus(make_corpus(tmp_path_factory.mktemp("data"), "en", "test", 20)).tokens, SCRIPTED]


def test_the_pipeline_gives_each_word_the_label_of_its_largest_emission(tmp_path, sentences):
    from transformers import pipeline

    model, folder = plain(tmp_path, "first")
    labels = [bio(label) for label in Tagger.from_pretrained(model).labels]
    found = pipeline("token-classification", model=str(folder), ignore_labels=[])
    for sentence, scores in zip(sentences, emissions(model, sentences), strict=True):
        text = " ".join(sentence)
        starts = [sum(len(word) + 1 for word in sentence[:place]) for place in range(len(sentence))]
        first: dict[int, str] = {}
        for piece in found(text):
            first.setdefault(piece["start"], piece["entity"])
        assert [first[start] for start in starts] == [labels[best] for best in scores.argmax(1)]


def test_spans_of_the_pipeline_slice_the_text(tmp_path, sentences):
    from transformers import pipeline

    found = pipeline("token-classification", model=str(plain(tmp_path, "first")[1]), aggregation_strategy="first")
    spans = [(text, span) for text in map(" ".join, sentences) for span in found(text)]
    assert {span["entity_group"] for _, span in spans} <= {"PER", "LOC"} and spans
    for text, span in spans:
        assert text[span["start"] : span["end"]].strip() and span["start"] < span["end"] <= len(text)


def test_logits_of_a_words_pieces_average_to_its_emissions(tmp_path, sentences):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model, folder = plain(tmp_path, "mean")
    network, tokenizer = AutoModelForTokenClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for sentence, scores in zip(sentences, emissions(model, sentences), strict=True):
        inputs = tokenizer([sentence], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            logits = network(**inputs).logits[0].numpy()
        words = np.array([-1 if word is None else word for word in inputs.word_ids(0)])
        averages = np.stack([logits[words == place].mean(0) for place in range(len(sentence))])
        np.testing.assert_allclose(averages, scores, atol=2e-4)


@pytest.mark.parametrize(
    ("student", "reason"),
    [
        ({"mode": "frozen"}, "its encoder is frozen"),
        ({"head": "bilstm"}, r"of its own \(bilstm\)"),
        ({"drop_bare_underline": True}, "leaves out single pieces"),
        ({"tap": "mix"}, "reads a learned mix of hidden layers"),
    ],
)
def test_any_other_student_loads_with_tagger(tmp_path, student, reason):
    model = saved_tagger(tmp_path, **{**PLAIN, **student})
    with pytest.raises(TagdistillError, match=reason) as refused:
        write_plain(model, tmp_path / "plain", "")
    assert "tagdistill.Tagger" in str(refused.value) and not (tmp_path / "plain").exists()


@pytest.mark.slow
def test_the_command_writes_a_card_that_says_what_is_lost(tmp_path):
    model = saved_tagger(tmp_path, **PLAIN, pooling="first")
    for _ in range(2):  # what it wrote itself is replaced
        command = [sys.executable, "-m", "tagdistill", "to-transformers", "--model", str(model), "--out"]
        done = subprocess.run([*command, str(tmp_path / "plain")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    card = (tmp_path / "plain" / "README.md").read_text()
    assert "library_name: transformers" in card and "**What is lost:** the student's transitions" in card
    assert "tagdistill.Tagger" in card and 'aggregation_strategy="first"' in card
    with pytest.raises(TagdistillError, match="plain model of transformers"):
        Tagger.from_pretrained(tmp_path / "plain")
