"""Arguments of the rules' commands: as they are where a shell can take them, in a file where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.jobs import read_argument
from tagdistill.experiment.plan import Plan, files_json
from tagdistill.workflow.arguments import FOLDER, LONGEST, Argument

SHELL = 128 * 1024  # bytes of one argument, such as the command of `sh -c`, on Linux
LICENCE = {"licence": "CC BY-SA 4.0, the university of this language and its contributors; see the README of the data"}
SPLITS = ("train", "dev", "test", "unlabelled")


def test_a_short_text_is_its_own_argument(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{Argument('{}')}" == "{}"
    assert not FOLDER.exists()


@pytest.mark.parametrize("text", ["x" * (LONGEST + 1), '"é"'])
def test_another_one_is_read_from_a_file(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argument = Argument(text)
    assert argument == text and not FOLDER.exists()  # what is recorded, and compared
    assert f"{argument}".isascii() and read_argument(f"{argument}") == text
    assert f"{argument}" == f"{Argument(text)}" and len(list(FOLDER.iterdir())) == 1


def test_commands_of_170_languages_with_four_splits_can_be_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    languages = {}
    for number in range(170):
        files = {split: f"data/corpora-of-many-languages-with-long-names/{number}/{split}.conll" for split in SPLITS}
        languages[f"language-{number}"] = {"source": "path", "format": "conll", "scheme": "BIOES", **files} | LICENCE
    for path in {path for language in languages.values() for name, path in language.items() if name in SPLITS}:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("a O\n")
    training = {"mode": "frozen", "head": "linear", "updates": 1}
    values = {"name": "many", "task": "ner", "labels": ["PER"], "languages": languages, "encoder": {"provider": "tiny"}}
    plan = Plan(check_experiment({**values, "teacher": training, "student": training}, "many.yaml"), tmp_path)
    student = [plan.specs.student("posterior", 0), files_json(plan.student_inputs("posterior", 0))]
    model = "students/posterior/seed-0"
    evaluation = [plan.specs.evaluate(model), files_json(plan.test_inputs(model))]
    assert len(plan.specs.report()) > SHELL
    for texts in (student, evaluation, [plan.specs.report()]):
        assert sum(len(f"{Argument(text)}") for text in texts) < SHELL / 2
