"""A new language: its files are read as the workflow will read them, and the lines to paste really add it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tagdistill.data import demo
from tagdistill.data.readers.options import Reading
from tagdistill.data.readers.read import read
from tagdistill.errors import ConfigError, DataError
from tagdistill.experiment.add_language import MAX_WORD_LENGTH, SHOWN_WORDS, add_language
from tagdistill.experiment.config import read_experiment
from tagdistill.experiment.plan import Plan

CONFIG = """\
name: study
task: ner
labels: [PER, LOC, ORG]
root: data
languages:
  en: {source: demo}
teacher: {updates: 3}
student: {updates: 3}
distill: {objectives: [baseline, posterior]}
seeds: [0, 1]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    STUDY.write_text(CONFIG, encoding="utf-8")
    Path("data/fr").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        pairs = demo.sentences("es", split)
        text = "".join("".join(f"{t}\t{x}\n" for t, x in zip(*pair, strict=True)) + "\n" for pair in pairs)
        Path(f"data/fr/{split}.conll").write_text(text, encoding="utf-8")
    return tmp_path


FILES = {split: Path(f"data/fr/{split}.conll") for split in ("train", "dev", "test")}
FRENCH = Reading("conll", "tab", scheme="BIOES")
STUDY = Path("study.yaml")


def pasted(output: str, group: str) -> str:
    """Return the config with the printed lines pasted as they say: below their group, or with it at the end."""
    lines = output.splitlines()
    there = f"{group}:" in CONFIG
    start = lines.index(f"Add to study.yaml, below `{group}:`" if there else "Add to study.yaml") + 2
    block = "\n".join(lines[start : lines.index("", start)]) + "\n"
    return CONFIG.replace(f"{group}:\n", f"{group}:\n{block}") if there else CONFIG + block


def test_the_lines_add_the_language(project: Path):
    output = add_language(STUDY, "fr", FILES, FRENCH)
    sentences = len(list(demo.sentences("es", "train")))
    assert output.startswith(f"train: {sentences} sentences, ") and "labelled LOC, ORG, PER" in output
    assert "snakemake --cores 2 --configfile study.yaml" in output
    assert "own teacher and the 4 students; no other teacher is trained again" in output
    STUDY.write_text(pasted(output, "languages"), encoding="utf-8")
    experiment = read_experiment(STUDY)
    assert experiment.languages["fr"].train.path == "fr/train.conll"  # below root
    assert (experiment.languages["fr"].separator, experiment.languages["fr"].scheme) == ("tab", "BIOES")
    Plan(experiment, project).check_files()


def test_a_zero_shot_language_needs_its_test_file_alone(project: Path):
    output = add_language(STUDY, "fr", {"test": FILES["test"]}, FRENCH, zero_shot=True)
    assert "No model is trained" in output
    assert set(yaml.safe_load(pasted(output, "zero_shot"))["zero_shot"]) == {"fr"}
    with pytest.raises(ConfigError, match=r"languages\.fr: no 'train' split is given"):
        add_language(STUDY, "fr", {"test": FILES["test"]}, FRENCH)


@pytest.mark.parametrize(("zero_shot", "split"), [(False, "train"), (True, "test")])
def test_without_a_file_the_option_to_give_is_named(project: Path, zero_shot: bool, split: str):
    with pytest.raises(ConfigError, match=f"--{split}: no file is given\n  Give `--{split} FILE`"):
        add_language(STUDY, "fr", {}, FRENCH, zero_shot=zero_shot)


def test_models_that_learn_from_text_without_its_test_sentences_are_told(project: Path):
    test, plain = {"test": FILES["test"]}, Path("data/de.txt")
    plain.write_text("Ada sings\n", encoding="utf-8")
    taught = CONFIG.replace("posterior]}", "posterior], teachers: [own, all]}").replace("[0, 1]", "[0]")
    text = "{source: demo, code: es, unlabelled: {path: de.txt, format: text}}"
    STUDY.write_text(f"{taught}teachers: {{all: {{}}}}\nzero_shot:\n  de: {text}\n", encoding="utf-8")
    output = add_language(STUDY, "fr", test, FRENCH, zero_shot=True)
    said = "It trains the student that learns from text of zero-shot languages (de), since the sentences of its test"
    assert said in output and output.endswith("; no teacher is trained again.")
    STUDY.write_text(f"{CONFIG}exclude_test_repeats: true\n", encoding="utf-8")
    for files, zero_shot in ((test, True), (FILES, False)):
        output = add_language(STUDY, "fr", files, FRENCH, zero_shot=zero_shot)
        assert "It trains all models anew" in output and "`exclude_test_repeats: true`" in output
    output = add_language(STUDY, "fr", {"train": FILES["train"]}, FRENCH)
    assert "no other teacher is trained again" in output


def test_that_a_teacher_of_all_languages_is_trained_anew_is_told(project: Path):
    shared = "teachers: {all: {}, first: {languages: [en]}}\n"
    several = CONFIG.replace("posterior]}", "posterior], teachers: [own, all, first]}")
    STUDY.write_text(several + shared, encoding="utf-8")
    output = add_language(STUDY, "fr", FILES, FRENCH)
    assert "It trains the teacher of all languages (all) anew, with all that they label, the language's own" in output
    Path("data/fr/plain.txt").write_text("Rit en juin\n", encoding="utf-8")
    files = {"test": FILES["test"], "unlabelled": Path("data/fr/plain.txt")}
    output = add_language(STUDY, "fr", files, FRENCH, zero_shot=True)
    assert "It trains the 2 students that learn from its text; no teacher is trained again" in output
    STUDY.write_text(CONFIG, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"zero_shot\.fr\.unlabelled: no objective learns from this text"):
        add_language(STUDY, "fr", files, FRENCH, zero_shot=True)


def test_repaired_spans_are_told(project: Path):
    for file in FILES.values():
        file.write_text("Ada\tI-PER\nrit\tO\n", encoding="utf-8")
    output = add_language(STUDY, "fr", FILES, Reading("conll", scheme="IOB2"))
    assert "train: 1 sentence, 2 words, labelled PER\n  first: Ada/S-PER rit/O\n" in output
    assert "\n  note: badly started spans repaired: 1 (data/fr/train.conll:1: 'I-PER' at the start of" in output


def test_what_cannot_be_read_is_told_with_its_line(project: Path):
    Path("data/fr/dev.conll").write_text("Ada\tS-PER\nParis\tS-CITY\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"dev\.conll:2"):
        add_language(STUDY, "fr", FILES, FRENCH)
    with pytest.raises(ConfigError, match="--train: no such file"):
        add_language(STUDY, "fr", {"train": Path("none")}, FRENCH)
    with pytest.raises(ConfigError, match=r"study\.yaml: languages\.en: this language is in the config already"):
        add_language(STUDY, "en", FILES, FRENCH)
    with pytest.raises(ConfigError, match="Did you mean 'conll'"):
        add_language(STUDY, "fr", FILES, Reading("conl"))


OTHER = """\
# a comment
1\tAda\tX\tB-PERSON
2\tvisits\tX\tO
3\tTurku\tX\tB-PLACE

"""


def test_a_file_of_other_columns_and_names_is_read_and_the_block_says_how(project: Path):
    for file in FILES.values():
        file.write_text(OTHER, encoding="utf-8")
    plain = Path("data/fr/plain.txt")
    plain.write_text("Ada visits Turku .\nShe sings .\n", encoding="utf-8")
    reading = Reading("conll", columns="token=1,tag=3", comment="#", label_map="PERSON=PER,PLACE=LOC")
    output = add_language(STUDY, "fr", {**FILES, "unlabelled": plain}, reading)
    assert "train: 1 sentence, 3 words, labelled LOC, PER\n  first: Ada/S-PER visits/O Turku/S-LOC\n" in output
    assert "\n  note: comment lines left out: 1 (data/fr/train.conll:1: # a comment)\n" in output
    assert "unlabelled: 2 sentences, 7 words\n  first: Ada visits Turku .\n" in output
    STUDY.write_text(pasted(output, "languages"), encoding="utf-8")
    experiment = read_experiment(STUDY)
    language = experiment.languages["fr"]
    assert (language.separator, language.comment, language.columns) == ("auto", "#", {"token": 1, "tag": 3})
    assert language.unlabelled.format == "text"
    Plan(experiment, project).check_files()
    (sentence,) = read(Path("data") / language.train.path, language, language.train, name="train")
    assert sentence.tokens == ["Ada", "visits", "Turku"] and language.label_map[sentence.tags[0][2:]] == "PER"
    for split in ("train", "unlabelled"):
        found = list(read(Path("data") / language.split(split).path, language, language.split(split), name=split))
        assert found[0].tokens[0] == "Ada"


def test_the_format_of_text_without_labels_can_be_said(project: Path):
    Path("data/fr/plain.txt").write_text("Ada\nsings\n", encoding="utf-8")
    Path("data/fr/plain").write_text("Ada sings\n", encoding="utf-8")
    cases = (
        (None, "plain.txt", "2 sentences"),
        ("conll", "plain.txt", "1 sentence"),
        ("text", "plain", "1 sentence"),
    )
    for kind, name, sentences in cases:
        files = {**FILES, "unlabelled": Path("data/fr") / name}
        output = add_language(STUDY, "fr", files, FRENCH, unlabelled_format=kind)
        assert f"unlabelled: {sentences}, 2 words" in output
        assert ("format: text}" in output) == (kind != "conll")


def test_words_that_are_numbers_are_warned_of_with_the_option_to_set(project: Path):
    FILES["train"].write_text(OTHER.partition("\n")[2] * 7, encoding="utf-8")
    reading = Reading("conll", label_map="PERSON=PER,PLACE=LOC")
    output = add_language(STUDY, "fr", {"train": FILES["train"]}, reading).splitlines()
    assert output[1] == "  first: 1/S-PER 2/O 3/S-LOC"
    assert output[2].startswith("  warning: ") and "nearly all words are numbers (1 2 3 1 2 3 ...)" in output[2]
    assert output[2].endswith("`--columns token=1,tag=-1`.")


def test_the_first_sentence_is_shortened_and_shows_no_control_character(project: Path):
    long = "\x1b[31m" + "a" * 50
    FILES["train"].write_text("".join(f"{long}\tS-PER\n" for _ in range(40)), encoding="utf-8")
    output = add_language(STUDY, "fr", {"train": FILES["train"]}, FRENCH).splitlines()[1]
    assert output.count("/S-PER") == SHOWN_WORDS and output.endswith(" ...") and "\x1b" not in output
    assert len(output.split()[1]) == MAX_WORD_LENGTH + len("/S-PER")


def test_a_folder_and_one_file_for_two_labelled_splits_are_refused(project: Path):
    with pytest.raises(ConfigError, match="--train: is a folder, not a file: data"):
        add_language(STUDY, "fr", {"train": Path("data")}, FRENCH)
    Path("again.conll").symlink_to(FILES["train"])
    for second in (FILES["train"], Path("again.conll")):
        with pytest.raises(ConfigError, match=r"--test: the same file as --train: .*\n  Scores on it .* `take:`"):
            add_language(STUDY, "fr", {"train": FILES["train"], "test": second}, FRENCH)
    files = {**FILES, "unlabelled": FILES["test"]}
    assert "unlabelled: " in add_language(STUDY, "fr", files, FRENCH)


def test_the_block_holds_the_encoding_and_the_columns_of_parquet(project: Path):
    FILES["train"].write_bytes("Zoë\tS-PER\n".encode("latin-1"))
    output = add_language(STUDY, "fr", {"train": FILES["train"]}, replace(FRENCH, encoding="latin-1"))
    assert "  first: Zoë/S-PER\n" in output and "encoding: latin-1" in output
    table = pa.table({"words": [["Zoë", "sings"]], "tokens": [["x", "x"]], "tags": [["B-PER", "O"]]})
    pq.write_table(table, "data/fr/t.parquet")
    reading = Reading("parquet", columns="token=words,tag=tags")
    output = add_language(STUDY, "fr", {"train": Path("data/fr/t.parquet")}, reading)
    assert "  first: Zoë/S-PER sings/O\n" in output
    language = yaml.safe_load(pasted(output, "languages"))["languages"]["fr"]
    assert language == {"format": "parquet", "columns": {"token": "words", "tag": "tags"}, "train": "fr/t.parquet"}


def test_errors_of_the_files_name_the_options(project: Path):
    FILES["train"].write_text(OTHER, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        add_language(STUDY, "fr", {"train": FILES["train"]}, Reading("conll"))
    assert "`--comment '#'`" in str(caught.value) and "`comment:`" not in str(caught.value)
