"""A new language: its files are read as the workflow will read them, and the lines to paste really add it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tagdistill.add_language import add_language
from tagdistill.config import read_experiment
from tagdistill.data import demo
from tagdistill.errors import ConfigError, DataError
from tagdistill.plan import Plan

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
    Path("study.yaml").write_text(CONFIG, encoding="utf-8")
    Path("data/fr").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        pairs = demo.sentences("es", split)
        text = "".join("".join(f"{t}\t{x}\n" for t, x in zip(*pair, strict=True)) + "\n" for pair in pairs)
        Path(f"data/fr/{split}.conll").write_text(text, encoding="utf-8")
    return tmp_path


FILES = {split: f"data/fr/{split}.conll" for split in ("train", "dev", "test")}
FRENCH = {"format": "conll", "scheme": "BIOES", "separator": "tab"}


def pasted(told: str, group: str) -> str:
    """Return the config with the told lines pasted as they say: below their group, or with it at the end."""
    lines = told.splitlines()
    there = f"{group}:" in CONFIG
    start = lines.index(f"Add to study.yaml, below `{group}:`" if there else "Add to study.yaml") + 2
    block = "\n".join(lines[start : lines.index("", start)]) + "\n"
    return CONFIG.replace(f"{group}:\n", f"{group}:\n{block}") if there else CONFIG + block


def test_the_lines_add_the_language(project: Path):
    told = add_language(Path("study.yaml"), "fr", FRENCH | FILES)
    sentences = len(list(demo.sentences("es", "train")))
    assert told.startswith(f"train: {sentences} sentences, ") and "labelled LOC, ORG, PER" in told
    assert "snakemake --cores 2 --configfile study.yaml" in told
    assert "own teacher and the 4 students; no other teacher is touched" in told
    Path("study.yaml").write_text(pasted(told, "languages"), encoding="utf-8")
    experiment = read_experiment(Path("study.yaml"))
    assert experiment.languages["fr"].train.path == "fr/train.conll"  # below root
    assert (experiment.languages["fr"].separator, experiment.languages["fr"].scheme) == ("tab", "BIOES")
    Plan(experiment, project).check_files()


def test_a_zero_shot_language_needs_its_test_file_alone(project: Path):
    told = add_language(Path("study.yaml"), "fr", FRENCH | {"test": FILES["test"]}, zero_shot=True)
    assert "No model is trained" in told
    assert set(yaml.safe_load(pasted(told, "zero_shot"))["zero_shot"]) == {"fr"}
    with pytest.raises(ConfigError, match=r"languages\.fr: no 'train' split is given"):
        add_language(Path("study.yaml"), "fr", FRENCH | {"test": FILES["test"]})


def test_repaired_spans_are_told(project: Path):
    for file in FILES.values():
        Path(file).write_text("Ada\tI-PER\nrit\tO\n", encoding="utf-8")
    told = add_language(Path("study.yaml"), "fr", FRENCH | FILES | {"scheme": "IOB2"})
    assert "train: 1 sentences, 2 words, labelled PER, 1 spans repaired (such as fr/train.conll:1: 'I-PER' at" in told


def test_what_cannot_be_read_is_told_with_its_line(project: Path):
    Path("data/fr/dev.conll").write_text("Ada\tS-PER\nParis\tS-CITY\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"dev\.conll:2"):
        add_language(Path("study.yaml"), "fr", FRENCH | FILES)
    with pytest.raises(ConfigError, match="--train: no such file"):
        add_language(Path("study.yaml"), "fr", FRENCH | {"train": "none"})
    with pytest.raises(ConfigError, match=r"study\.yaml: languages\.en: this language is in the config already"):
        add_language(Path("study.yaml"), "en", FRENCH | FILES)
    with pytest.raises(ConfigError, match="Did you mean 'conll'"):
        add_language(Path("study.yaml"), "fr", FRENCH | FILES | {"format": "conl"})
