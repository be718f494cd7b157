"""What is wrong with the data of a config is found before anything is planned, by the readers of the workflow."""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagdistill.cli import main as cli
from tagdistill.data.readers.ending import ENDINGS, PLAIN
from tagdistill.data.readers.format import load_format
from tagdistill.settings.names import FORMATS, names_in

TRAIN = "1\tKone\tX\tB-PERSON\n2\tlives\tX\tO\n\n1\tRome\tX\tB-ORG\n"  # columns: number, word, part of speech, tag
FRENCH: dict[str, Any] = {
    **{"format": "conll", "separator": "tab", "columns": {"token": 1, "tag": 3}},
    **{"label_map": {"PERSON": "PER"}, "train": "fr.conll", "test": "fr-test.conll"},
}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that checks a config with some keys of its language replaced, and says what it printed."""
    monkeypatch.chdir(tmp_path)
    Path("fr.conll").write_text(TRAIN, encoding="utf-8")
    Path("fr-test.conll").write_text("1\tAna\tX\tI-PER\n", encoding="utf-8")

    def run(*options: str, status: int = 0, **language: Any) -> str:
        values: dict[str, Any] = {"name": "study", "task": "ner", "labels": language.pop("labels", ["PER", "ORG"])}
        values["exclude_test_repeats"] = language.pop("exclude_test_repeats", False)
        values |= {"teacher": {"updates": language.pop("updates", 500)}, "student": {"updates": 1500}}
        values |= {"distill": {"unlabelled_ratio": language.pop("ratio", 1)}}
        values["languages"] = {**language.pop("others", {}), "fr": {**FRENCH, **language}}
        Path("study.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["tagdistill", "config", "check", "study.yaml", *options])
        try:
            cli.main()
        except SystemExit as stop:
            assert (stop.code or 0) == status
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return said.err if status else said.out

    return run


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"columns": {"token": 1, "tag": 7}}, "fr.conll:1: no column 7: the line has 4 columns, separated by tab"),
        ({"columns": {"token": 1, "tag": 2}}, "fr.conll:1: tag 'X' is not IOB2"),
        ({"label_map": {"PERSN": "PER"}}, "fr.conll:1: label 'PERSON' is not in the label space\n  Did you mean 'PER'"),
        ({"labels": ["PER", "LOC"]}, "fr.conll:4: label 'ORG' is not in the label space"),
        ({"train": {"path": "fr.conll", "take": "100:200"}}, "fr.conll: `take: 100:200` leaves no sentence"),
        ({"encoding": "utf-16"}, "fr.conll: not utf-16"),
        ({"strict": True, "train": "fr-test.conll"}, "fr-test.conll:1: tag 'I-PER' at the start of the sentence"),
        ({"columns": {"token": "form"}}, "study.yaml: languages.fr.columns.token: 'form' is not a number"),
        ({"format": "conllu"}, "fr.conll:1: "),
    ],
)
def test_a_mistake_in_the_data_is_told_by_file_and_line(check, changes: dict[str, Any], says: str):
    said = check(status=1, **changes)
    assert said.startswith(f"error: {says}")
    assert check("--no-data", **changes).startswith("study.yaml: fine.")


def test_what_was_read_and_what_was_not_is_said(check):
    assert check().splitlines()[1:] == [
        "Data: 3 sentences in 2 splits read without errors; 1 badly started span will be repaired.",
        "note: fr.test: badly started spans repaired: 1 (fr-test.conll:1: 'I-PER' at the start of the sentence)",
    ]
    others = {"es": {"source": "conll2002"}, "it": {"source": "demo"} | {"code": "es", "splits": ["train", "test"]}}
    last = check(others=others, labels=["PER", "ORG", "LOC"]).splitlines()[1]
    assert "in 4 splits read" in last and last.endswith("; 3 downloads not checked: not fetched yet.")
    assert len(check("--no-data").splitlines()) == 1
    said = check(others={"it": {"source": "demo", "code": "es"}}, status=1)  # the demo has LOC too
    assert said.startswith("error: study.yaml: languages.it: demo train: sentence 4: label 'LOC' is not in")


def test_sentences_that_two_labelled_splits_share_are_told_whatever_their_files_are_called(check, tmp_path: Path):
    said = check(test="fr.conll").splitlines()
    assert said[-1] == (
        "warning: fr.train and fr.test are the same 2 distinct sentences (first: fr.conll:1 = fr.conll:1)"
    )
    (tmp_path / "copy.conll").write_text("\n" + TRAIN, encoding="utf-8")
    assert "fr.train and fr.test are the same 2 distinct sentences (first: fr.conll:1 = copy.conll:2)" in check(
        test="copy.conll"
    )
    assert "are the same" not in check(test="copy.conll", exclude_test_repeats=True)  # they will be left out
    assert "fr.train and fr.dev are the same 2" in check(dev="copy.conll", exclude_test_repeats=True)
    parts = {x: {"path": "./fr.conll", "take": take} for x, take in (("train", ":1"), ("dev", "1:"), ("test", "1:2"))}
    said = check(**parts).splitlines()
    assert said[-1].startswith("warning: fr.dev and fr.test are the same 1 distinct sentence (first: fr.conll:4")
    assert "are the same" not in check(unlabelled="fr.conll")


def test_a_few_shared_sentences_are_a_note_and_none_of_two_languages(check, tmp_path: Path):
    lines = [f"1\tword{n}\tX\tB-PERSON\n\n" for n in range(40)]
    (tmp_path / "fr.conll").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "fr-test.conll").write_text("".join([*lines[:2], *(x.replace("word", "w") for x in lines)]))
    said = check(others={"it": {**FRENCH, "test": "fr.conll"}}, labels=["PER"])
    assert (
        "note: fr.train and fr.test share 2 distinct sentences, of 40 and 42 (first: fr.conll:1 = fr-test.conll:1)"
        in said
    )
    assert "warning: it.train and it.test are the same 40" in said
    assert "fr.train and it.test are the same" in said  # as many: students train on both
    assert "fr.test and it.train" not in said and "fr.train and it.train" not in said


def test_a_type_that_no_train_file_has_is_a_warning(check):
    says = "warning: `labels:` lists LOC, MISC, of which no train file has a span"
    assert says in check(labels=["PER", "LOC", "ORG", "MISC"]).splitlines()
    assert "no train file" not in check(labels=["PER", "ORG"])
    Path("fr-test.conll").write_text("1\tOslo\tX\tI-LOC\n", encoding="utf-8")  # a test file is none to train on
    assert says in check(labels=["PER", "LOC", "ORG", "MISC"]).splitlines()


def test_words_and_labels_cannot_move_the_cursor(check, tmp_path: Path):
    (tmp_path / "fr.conll").write_text("1\t\x1b[2JAna\tX\tB-PERSON\n2\t\x9b1A\tX\tO\n" * 20, encoding="utf-8")
    (tmp_path / "fr-test.conll").write_text("# \x1b]0;x\x07 \u202e\n1\tAna\tX\tI-PER\n", encoding="utf-8")
    said = check(comment="#", labels=["PER"])
    assert r"(fr-test.conll:1: # \x1b]0;x\x07 \u202e)" in said
    (tmp_path / "fr.conll").write_text("1\tAna\tX\tB-\x1b[31mX\n", encoding="utf-8")
    said += check(status=1) + check(status=1, columns={"token": 1, "tag": 2}, label_map={"X": "\x07"})
    assert not [c for c in said if c != "\n" and not c.isprintable()]


def test_few_updates_are_a_warning(check):
    warning = "students lose by what such a teacher teaches. Set `teacher.updates: 500` or more"
    assert (
        check(updates=12).splitlines()[-1]
        == f"warning: the teacher of fr gets 12 updates for 3 labelled words: {warning}"
    )
    assert check("--no-data", updates=12).splitlines()[-1] == f"warning: the teacher of fr gets 12 updates: {warning}"
    assert "updates" not in check()


def test_text_that_is_read_too_often_is_a_warning(check, tmp_path: Path):
    (tmp_path / "plain.txt").write_text("Ana vit\n", encoding="utf-8")
    text = {"unlabelled": {"path": "plain.txt", "format": "text"}}
    warning = "read 2 unlabelled words 6 times as often as 3 labelled words: they may end below the baseline"
    assert warning in check(ratio=4, **text).splitlines()[-1]
    assert "times as often" not in check(ratio=2, **text)


def test_two_members_of_an_archive_are_two_files(check, tmp_path: Path):
    with tarfile.open(tmp_path / "fr.tar.gz", "w:gz") as archive:
        for name in ("train", "test"):
            data = f"fr:{name}\tB-PER\n".encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    files = {"format": "wikiann", "train": "fr.tar.gz", "test": "fr.tar.gz", "columns": {"token": 0, "tag": -1}}
    assert "warning" not in check(**files, labels=["PER"])


def test_words_that_are_numbers_are_a_warning(check, tmp_path: Path):
    (tmp_path / "fr.conll").write_text("".join(f"{n}\tKone\tX\tB-PERSON\n" for n in range(1, 60)), encoding="utf-8")
    assert "warning" not in check(labels=["PER"])
    said = check(columns={"token": 0, "tag": 3}, labels=["PER"]).splitlines()
    assert said[2].startswith("warning: fr.train: fr.conll: nearly all words are numbers (1 2 3")


def test_the_endings_are_those_of_the_formats():
    formats = {name: load_format(name) for name in names_in(FORMATS)}
    assert {ending: name for name, form in formats.items() for ending in form.endings} == ENDINGS
    assert [name for name, form in formats.items() if not form.labelled] == [PLAIN]


def test_the_ending_of_a_file_that_is_read_as_another_format_is_told(check):
    Path("plain.txt").write_text("Ana visits Rome today .\nShe sings .\n", encoding="utf-8")
    said = check(unlabelled="plain.txt", status=1)
    assert said.startswith("error: plain.txt:") and "ends in .txt and is read as conll: is it `format: text`?" in said
    Path("train.conllu").write_text("Ana visits\n", encoding="utf-8")
    assert "ends in .conllu and is read as conll: is it `format: conllu`?" in check(train="train.conllu", status=1)
    Path("train.conllu.gz").write_bytes(gzip.compress(b"Ana visits\n"))
    said = check(train="train.conllu.gz", status=1)
    assert "ends in .conllu.gz and is read as conll: is it `format: conllu`?" in said
    Path("train.txt").write_text("Ana visits\n", encoding="utf-8")  # plain text has no labels to train on
    assert "format: text" not in check(train="train.txt", status=1)
    Path("plain.txt").write_text("1 Ana visits Rome\n2 She sings there\n", encoding="utf-8")
    warned = "warning: fr.unlabelled: plain.txt: it ends in .txt and is read as conll: in `unlabelled: {path: FILE, "
    spaces = {"separator": "auto", "ratio": 1}
    assert warned in check(unlabelled="plain.txt", **spaces)
    for kind in ("conll", "text"):
        assert "ends in" not in check(unlabelled={"path": "plain.txt", "format": kind}, **spaces)


def test_that_nothing_can_be_scored_and_a_ratio_of_no_text_are_told(check):
    warned = "warning: no language has a test set: nothing can be scored"
    noted = "note: `distill.unlabelled_ratio: 5` changes nothing: no language has an `unlabelled` split"
    for options in ((), ("--no-data",)):
        said = check(*options, test=None, ratio=5)
        assert warned in said and noted in said
    Path("plain.txt").write_text("Ana visits Rome .\n", encoding="utf-8")
    said = check(unlabelled={"path": "plain.txt", "format": "text"}, ratio=5)
    assert warned not in said and noted not in said
    assert "changes nothing" not in check(ratio=0) + check(ratio=1)


@pytest.mark.parametrize(
    ("dev", "says"),
    [
        ("", "the path is empty\n  Give a file, or leave the key out."),
        ("  ", "the path is empty\n"),
        (".", "is a folder, not a file: ."),
        ("x", "no such file: x"),
    ],
)
def test_a_path_without_a_file_is_told_as_what_it_is(check, dev: str, says: str):
    assert check(dev=dev, status=1).startswith(f"error: study.yaml: languages.fr.dev: {says}")
