"""From raw files to corpora: label space, repairs, errors with file and line, and the data report."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from bioes import is_well_formed

from tagdistill.data import demo
from tagdistill.data.corpus import read_corpus
from tagdistill.data.labels import UPOS
from tagdistill.data.plausibility import file_warnings
from tagdistill.data.prepare import prepare
from tagdistill.data.readers.lines import Sentence
from tagdistill.data.readers.notes import Notes
from tagdistill.data.report import report
from tagdistill.errors import ConfigError, DataError, MismatchError
from tagdistill.settings.language import Language


@pytest.fixture
def prepared(tmp_path):
    """Write a raw file, prepare it and return the corpus."""

    def run(
        text,
        *,
        split="train",
        task="ner",
        labels=("PER", "LOC"),
        limit=None,
        file="raw.txt",
        take=None,
        tests=(),
        sha256=None,
        **language,
    ):
        source = None if text is None else tmp_path / file
        if source:
            source.write_text(text, encoding="utf-8")
            language[split] = {"path": f"data/{file}", "take": take}
        out = tmp_path / f"{split}.parquet"
        prepare(
            source,
            out,
            language="xx",
            split=split,
            settings=Language(**language),
            task=task,
            labels=labels,
            limit=limit,
            tests=tests,
            sha256=sha256,
        )
        return read_corpus(out)

    return run


def conllu(*words):
    lines = [f"{i}\t{form}\t_\t{upos}" + "\t_" * 6 for i, (form, upos) in enumerate(words, 1)]
    return "\n".join(lines) + "\n\n"


def test_spans_become_bioes_and_repairs_are_counted_with_their_place(prepared):
    corpus = prepared("Jo B-PER\nvan I-PER\nin O\nRom I-LOC\n\nI I-PER\nO O\n")
    assert corpus.labels == [["B-PER", "E-PER", "O", "S-LOC"], ["S-PER", "O"]]
    assert corpus.ids == ["train-000001", "train-000002"] and corpus.lines == [1, 6]
    places = ["data/raw.txt:4: 'I-LOC' after 'O'", "data/raw.txt:6: 'I-PER' at the start of the sentence"]
    assert corpus.metadata["notes"] == {"badly started spans repaired": {"count": 2, "places": places}}
    assert corpus.metadata["scheme"] == "BIOES"


def test_strict_refuses_what_would_be_repaired(prepared):
    with pytest.raises(DataError, match="tag 'I-LOC' after 'O' breaks IOB2") as caught:
        prepared("in O\n\nin O\nRom I-LOC\n", strict=True)
    assert caught.value.where.endswith("raw.txt:4") and "scheme: IOB1" in caught.value.hint
    assert prepared("in O\nRom I-LOC\n", strict=True, scheme="IOB1").labels == [["O", "S-LOC"]]


def test_types_are_renamed_or_dropped(prepared):
    text = "a B-PERSON\nb I-PERSON\nc B-PLACE\nd B-DATE\ne _\n"
    corpus = prepared(text, label_map={"PERSON": "PER", "PLACE": "LOC", "DATE": "O", "_": "O"})
    assert corpus.labels == [["B-PER", "E-PER", "S-LOC", "O", "O"]]


def test_a_type_outside_the_label_space_is_explained(prepared):
    with pytest.raises(DataError) as caught:
        prepared("a B-PER\n\nb B-PERS\nc B-ORG\n")
    text = str(caught.value)
    assert caught.value.where.endswith("raw.txt:3") and "label 'PERS'" in text
    assert "Did you mean 'PER'?" in text and "Found in this file: ORG, PER, PERS." in text and "label_map" in text


def test_a_rename_to_an_unknown_type_is_refused(prepared):
    with pytest.raises(DataError, match="label 'MISC'"):
        prepared("a B-PERS\n", label_map={"PERS": "MISC"})


def test_a_tag_of_another_scheme_names_the_line(prepared):
    with pytest.raises(DataError, match="tag 'S-PER' is not IOB2") as caught:
        prepared("a O\nb S-PER\n")
    assert caught.value.where.endswith("raw.txt:2") and "scheme: BIOES" in caught.value.hint


def test_upos_keeps_its_tags_and_the_whole_label_list(prepared):
    corpus = prepared(
        conllu(("a", "DET"), ("b", "CONJ")), task="pos", labels="upos", format="conllu", label_map={"CONJ": "CCONJ"}
    )
    assert corpus.labels == [["DET", "CCONJ"]] and corpus.label_list == UPOS and corpus.metadata["scheme"] == "tags"


@pytest.mark.parametrize("tag", ["_", "CONJ"])
def test_an_unknown_upos_is_refused(prepared, tag):
    with pytest.raises(DataError, match=f"label '{tag}'") as caught:
        prepared(conllu(("a", "DET")) + conllu(("b", tag)), task="pos", labels="upos", format="conllu")
    assert caught.value.where.endswith("raw.txt:3")


def test_an_empty_tag_is_refused(prepared):
    with pytest.raises(DataError, match="empty tag") as caught:
        prepared("b\tX\nb\tX\na\t\n", task="pos", labels="upos", separator="tab")
    assert caught.value.where.endswith("raw.txt:3")


def test_conllu_is_not_read_for_spans(prepared):
    with pytest.raises(ConfigError, match="labelled for the task 'pos', not 'ner'") as caught:
        prepared(conllu(("a", "DET")), format="conllu")
    assert caught.value.where == "languages.xx.train"


def test_unlabelled_text_of_any_format_has_no_labels(prepared):
    for text, kind in (("a b\n", "text"), (conllu(("a", "?"), ("b", "?")), "conllu"), ("a X\nb Y\n", "conll")):
        corpus = prepared(text, split="unlabelled", format=kind)
        assert corpus.labels is None and corpus.tokens == [["a", "b"]] and corpus.ids == ["unlabelled-000001"]


def test_take_and_the_limit_of_the_experiment(prepared):
    text = "".join(f"{n} O\n\n" for n in range(9))
    corpus = prepared(text, take="2:8", limit=3)
    assert corpus.tokens == [["2"], ["3"], ["4"]] and corpus.ids[0] == "train-000001" and corpus.lines[0] == 5


def test_equal_inputs_give_equal_bytes_wherever_they_lie(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "raw").write_text("Jo B-PER\nI I-LOC\n")
        arguments = {"language": "x", "split": "train", "task": "ner", "labels": ["PER", "LOC"]}
        prepare(tmp_path / folder / "raw", tmp_path / folder / "o", settings=Language(train="raw"), **arguments)
    assert (tmp_path / "one" / "o").read_bytes() == (tmp_path / "two" / "o").read_bytes()


def test_an_error_leaves_no_output(prepared, tmp_path):
    with pytest.raises(DataError):
        prepared("a B-X\n")
    assert [p.name for p in tmp_path.iterdir()] == ["raw.txt"]


@pytest.mark.parametrize("language", demo.LANGUAGES + demo.ZERO_SHOT)
def test_the_demo_becomes_a_corpus(tmp_path, language):
    for split in demo.splits(language):
        out = tmp_path / f"{split}.parquet"
        settings = Language(source="demo", code=language)
        prepare(
            None,
            out,
            language="mine",
            split=split,
            settings=settings,
            task="ner",
            labels=("PER", "LOC", "ORG"),
            limit=20,
        )
        corpus = read_corpus(out)
        assert len(corpus) == 20 and corpus.metadata["notes"] == {} and corpus.language == "mine"
        assert corpus.tokens == [tokens for tokens, _ in demo.sentences(language, split)[:20]]
        assert (corpus.labels is None) == (split == "unlabelled")
        assert all(map(is_well_formed, corpus.labels or []))


def test_the_demo_is_for_ner_alone(tmp_path):
    with pytest.raises(ConfigError, match="task 'ner', not 'pos'"):
        arguments = {"language": "en", "split": "train", "task": "pos", "labels": "upos"}
        prepare(None, tmp_path / "x", settings=Language(source="demo"), **arguments)


def test_the_report_counts_what_a_reader_should_know(prepared, tmp_path):
    train = "Jo B-PER\n\nJo O\n\nJo O\n\nmi\u200cravad O\n\u200b O\na\u00a0b O\ne\u0301 O\nx\ufffd O\nRom I-LOC\n"
    prepared(train, licence="CC BY 4.0")
    prepared("Jo B-PER\n\nJo B-PER\n\nneu O\n", split="test")
    prepared("neu\nalt\nalt\n", split="unlabelled", format="text")
    report({s: tmp_path / f"{s}.parquet" for s in ("unlabelled", "train", "test")}, tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    facts = found["splits"]["train"]
    assert (facts["sentences"], facts["tokens"]) == (4, 9)
    assert facts["characters"] == {
        "zero_width": 2,
        "only_zero_width": 1,
        "no_break_space": 1,
        "other_white_space": 0,
        "replacement_character": 1,
        "not_nfc": 1,
    }
    assert facts["labels"]["spans"] == {"LOC": 1, "PER": 1} and facts["labels"]["sentences_without_spans"] == 2
    assert facts["labels"]["tokens"]["S-PER"] == 1 and facts["labels"]["tokens"]["E-PER"] == 0
    assert (facts["repeated_sentences"], facts["conflicting_labels"]) == (2, 1)
    assert facts["lengths"]["max"] == 6 and facts["lengths"]["mean"] == 2.25
    assert facts["lengths"]["histogram"]["sentences"][:4] == [3, 0, 1, 0]
    assert (facts["source"], facts["licence"], len(facts["source_sha256"])) == ("data/raw.txt", "CC BY 4.0", 64)
    place = "data/raw.txt:12: 'I-LOC' after 'O'"
    assert facts["notes"] == {"badly started spans repaired": {"count": 1, "places": [place]}}
    assert found["repeats"] == {
        "test in train": {"shared": 1, "distinct": 2},
        "unlabelled in train": {"shared": 0, "distinct": 2},
        "unlabelled in test": {"shared": 1, "distinct": 2},
    }
    plain = found["splits"]["unlabelled"]
    assert plain["labels"] is None and plain["conflicting_labels"] is None and plain["repeated_sentences"] == 1


def test_the_report_counts_multiword_tokens_and_what_was_left_out(prepared, tmp_path):
    text = "1-2\tau\t_\t_" + "\t_" * 6 + "\n" + conllu(("à", "ADP"), ("le", "DET"))
    prepared(text, task="pos", labels="upos", format="conllu")
    prepared("-DOCSTART- O\n\na DET\n", split="test", task="pos", labels="upos")
    report({s: tmp_path / f"{s}.parquet" for s in ("train", "test")}, tmp_path / "r.json")
    splits = json.loads((tmp_path / "r.json").read_text())["splits"]
    assert splits["train"]["multiword"] == 1 and "spans" not in splits["train"]["labels"]
    borders = {"count": 1, "places": ["data/raw.txt:1"]}
    assert splits["test"]["notes"] == {"-DOCSTART- lines read as borders of documents": borders}


def test_preparing_imports_nothing_heavy():
    heavy = {"torch", "pandas", "transformers", "requests"}
    code = f"import sys, tagdistill.data.prepare; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_split_that_is_not_given_never_becomes_the_demo(prepared, tmp_path):
    with pytest.raises(ConfigError, match="no 'test' split is given"):
        prepared(None, split="test", source="path", labels=("PER", "LOC", "ORG"), train={"path": "x"})
    assert not (tmp_path / "test.parquet").exists()


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        ("1 2 3 4 5 6 7 8 9 10", True),
        ("1-2 1 2 3.1 4 1,000 7 8 9 10", True),
        ("1 2 3 4 5 6 7 8 9 ten", False),  # one in ten is a word
        ("1990 1991 Ada", False),
        ("\u0661 \u0662 \u0663 \u0664", True),
    ],
)
def test_words_that_are_all_numbers_are_warned_of(words, warned, prepared, tmp_path):
    text = "\n".join(f"{word} O" for word in words.split()) + "\n\n"
    prepared(f"Ada B-PER\n\n{text * 7}" if not warned else f"{text * 7}1 B-PER\n")
    report({"train": tmp_path / "train.parquet"}, tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())["splits"]["train"]["warnings"]
    first = " ".join((words.split() * 7)[:6])
    assert bool(found) == warned
    assert not warned or found[0].startswith(f"data/raw.txt: nearly all words are numbers ({first} ...). If the token")


def test_few_numbers_are_no_reason_for_a_warning():
    pair = Sentence(["1", "2"], None, [1, 2])
    assert file_warnings([pair] * 9, Notes(), "conll") == [] != file_warnings([pair] * 10, Notes(), "conll")


@pytest.mark.parametrize("cells", [['","', '"a,b"', '""""'], ['"Ada"'] * 3, ['"1,5"', '"a ""b"""', '","']])
def test_cells_between_quotes_as_excel_writes_them_are_warned_of(cells: list[str]):
    others = [] if cells == ['"Ada"'] * 3 else ["Ada", "'", "''", "ran"] * 3
    (warning,) = file_warnings([Sentence(cells + others, None, [1] * len(cells + others))], Notes(), "conll")
    shown = " ".join(cells)
    assert warning.startswith(f"{len(cells)} tokens stand between quotes, as Excel and csv write cells ({shown}")
    assert "docs/guide/formats.md" in warning


@pytest.mark.parametrize("tokens", [['"', ","] * 9, ['","', '"a,b"', "Ada"], ['"Ada,"', '"no', 'yes"'] * 9])
def test_other_quotes_are_no_cells(tokens: list[str]):
    assert file_warnings([Sentence(tokens, None, [1] * len(tokens))], Notes(), "conll") == []


def test_sentences_of_test_sets_are_left_out_of_training_and_unlabelled_text_and_counted(prepared, tmp_path):
    prepared("Jo B-PER\nran O\n\nRome B-LOC\n\nyes O\n", split="test")
    tests = [tmp_path / "test.parquet"]
    train = prepared("Rome O\n\nnot O\nRome B-LOC\n\nJo O\nran O\n\nno O\nran I-PER\n", tests=tests)
    assert train.tokens == [["not", "Rome"], ["no", "ran"]]
    assert train.labels == [["O", "S-LOC"], ["O", "S-PER"]]  # each keeps its own
    assert (train.ids, train.lines) == (["train-000001", "train-000002"], [3, 9])
    prepared("Jo ran\nJo\nran\n", split="unlabelled", format="text", tests=tests)
    report({split: tmp_path / f"{split}.parquet" for split in ("train", "test", "unlabelled")}, tmp_path / "r.json")
    splits = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["splits"]
    noted = {split: facts["notes"].get("sentences of test sets left out") for split, facts in splits.items()}
    assert noted == {
        "train": {"count": 2, "places": ["data/raw.txt:1", "data/raw.txt:6"]},
        "unlabelled": {"count": 1, "places": ["data/raw.txt:1"]},
        "test": None,
    }


def test_a_file_that_was_edited_after_the_plan_is_refused(prepared, tmp_path):
    text = "Jo B-PER\nran O\n"
    planned = hashlib.sha256(text.encode()).hexdigest()
    assert prepared(text, sha256=planned).metadata["source_sha256"] == planned
    (tmp_path / "train.parquet").unlink()
    with pytest.raises(MismatchError, match="the file changed while the run was going on") as caught:
        prepared(text + "\n", sha256=planned)
    assert caught.value.where == "data/raw.txt" and not (tmp_path / "train.parquet").exists()


def test_a_text_that_is_in_the_test_sets_altogether_is_refused(prepared, tmp_path):
    prepared("yes O\n", split="test")
    with pytest.raises(DataError, match="every sentence is in a test set too") as caught:
        prepared("yes O\n\nyes O\n", tests=[tmp_path / "test.parquet"])
    assert caught.value.where == "data/raw.txt" and not (tmp_path / "train.parquet").exists()
