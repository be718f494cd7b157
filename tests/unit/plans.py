"""Plans of a small experiment, with settings changed, and what its jobs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nested import with_value

from tagdistill.artifacts.files import sha256_file, sha256_json
from tagdistill.experiment import local_files
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.layout import JOBS
from tagdistill.experiment.plan import Plan

BASE: dict[str, Any] = {
    "name": "study",
    "task": "ner",
    "labels": ["PER", "LOC"],
    "limit": {"train": 20, "test": 8},
    "languages": {
        "en": {"format": "conll", "train": "en/train.conll", "test": "en/test.conll", "unlabelled": "en/plain.txt"},
        "fr": {"format": "conll", "train": "fr/train.conll", "dev": "fr/dev.conll", "test": "fr/test.conll"},
        "sv": {"source": "ud", "format": "conllu", "treebank": "Swedish-Talbanken", "release": "r2.15"},
    },
    "zero_shot": {"de": {"source": "demo"}},
    "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
    "teacher": {"updates": 6, "seeds": [0, 1]},
    "student": {"updates": 8},
    "distill": {"objectives": ["baseline", "posterior"], "k": 4},
    "seeds": [0, 1],
}
HOT = {"name": "posterior-T2", "loss": "posterior", "temperature": 2.25, "unlabelled_ratio": 0}


@pytest.fixture(autouse=True)
def unread_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of data that are not there are known by their names."""
    monkeypatch.setattr(local_files, "_sha256", lambda x: sha256_file(x) if x.is_file() else sha256_json(str(x)))


def plan(**changes: Any) -> Plan:
    """Return the plan of the base settings with keys changed; a double underscore stands between levels."""
    values = BASE
    for path, value in changes.items():
        values = with_value(values, path.split("__"), value)
    return Plan(check_experiment(values, "study.yaml"), Path("/project"))


def jobs(of: Plan) -> dict[str, str]:
    """Return every job of a plan by a name that says what it is."""
    splits = [(name, split) for name in of.runs.languages for split in of.runs.splits(name)]
    found = {f"prepare {' '.join(split)}": of.specs.prepare(*split) for split in splits}
    found |= {f"tokens {' '.join(split)}": of.specs.tokens(*split) for split in splits}
    found |= {f"encode {key}": of.specs.encode(key) for key in of.specs.encoders()}
    found |= {f"convert {key}": of.specs.convert_encoder(key.split("-tap")[0]) for key in of.specs.encoders()}
    teachers = [(str(model.teacher), model.decoder, model.seed) for model in of.runs.teachers]
    found |= {f"teach {' '.join(map(str, teacher))}": of.specs.teacher(*teacher) for teacher in teachers}
    found |= {f"student {o} {s}": of.specs.student(o, s) for o in of.runs.objectives for s in of.experiment.seeds}
    return found | {f"evaluate {model}": of.specs.evaluate(model) for model in of.runs.models}


def different(after: Plan, before: Plan | None = None) -> set[str]:
    """Return the first words of the jobs that are there before and after, and differ."""
    first, second = jobs(before or plan()), jobs(after)
    return {name for name in first.keys() & second.keys() if first[name] != second[name]}


def kinds(names: set[str]) -> set[str]:
    return {name.split()[0] for name in names}


def everything(value: Any) -> str:
    return json.dumps(value)


def made_and_read(of: Plan) -> tuple[set[str], set[str]]:
    """Return the files of a plan's results, each of which is there once, and the results that its jobs read."""
    results = list(of.files.results())
    places = [place for result in results for place in result.places]
    assert len(places) == len(set(places)) and {result.stage for result in results} <= set(JOBS)
    assert len({(result.stage, result.job) for result in results}) == len(results)
    read = [of.report_inputs(), of.repeats_inputs(), {"targets": of.teacher_targets()}]
    read += [of.test_inputs(name) for name in of.runs.models]
    read += [of.teacher_inputs(str(model.teacher)) for model in of.runs.teachers]
    read += [of.student_inputs(objective, 0) for objective in of.runs.objectives]
    read += [of.score_inputs(teacher, decoder, 0, x, split) for teacher, decoder, x, split in of.runs.scored]
    read += [of.target_inputs(x, decoder, split, mix) for decoder, x, split, mix in of.runs.targets]
    files = {file for inputs in read for paths in inputs.values() for file in paths if file.startswith("results/")}
    return {file for result in results for file in result.files}, files
