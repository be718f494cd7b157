"""How many words a plan knows of: those of prepared corpora and of small files."""

from __future__ import annotations

from plans import plan

from tagdistill.data.corpus import write_corpus
from tagdistill.experiment import known_words as module
from tagdistill.experiment.known_words import known_words


def test_words_are_counted_in_prepared_text_or_in_the_users_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = plan(languages__sv=..., zero_shot={}, root=str(tmp_path), limit={"train": 2})
    assert known_words(of, "train", of.runs.trained) == {}  # nothing is there
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr" / "train.conll").write_text("a O\nb O\n\nc B-PER\n\nd O\ne O\n\n")
    assert known_words(of, "train", of.runs.trained) == {"fr": 3}  # the first two sentences
    metadata = {"language": "en", "split": "train", "task": "ner", "labels": ["O"]}
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train.conll").write_text("x O\n\n")
    path = tmp_path / of.files.corpus("en", "train")
    write_corpus(path, ids=["1"], tokens=[["x"] * 7], labels=[["O"] * 7], metadata=metadata)
    assert known_words(of, "train", of.runs.trained) == {"en": 7, "fr": 3}
    (tmp_path / "fr" / "train.conll").write_text("a O\nb B-XYZ\n")
    assert known_words(of, "train", of.runs.trained) == {"en": 7}  # the stage that reads it says what is wrong


def test_text_is_counted_up_to_its_limit(tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "plain.txt").write_text("a b c\nd\ne f\n")
    of = plan(
        languages__sv=...,
        languages__en__unlabelled={"path": "en/plain.txt", "format": "text"},
        zero_shot={},
        root=str(tmp_path),
        limit={"unlabelled": 2},
    )
    assert known_words(of, "unlabelled", ["en"]) == {"en": 4}


def test_a_plan_does_not_read_for_minutes(tmp_path, monkeypatch):
    of = plan(languages__sv=..., zero_shot={}, root=str(tmp_path))
    for language in ("en", "fr"):
        (tmp_path / language).mkdir()
        (tmp_path / language / "train.conll").write_text("a O\n\n" * 10)
    assert known_words(of, "train", of.runs.trained) == {"en": 10, "fr": 10}
    monkeypatch.setattr(module, "MAX_READ", 99)
    assert known_words(of, "train", of.runs.trained) == {}
    assert known_words(of, "train", ["fr"]) == {"fr": 10}
