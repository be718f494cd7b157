"""The files that the settings write: every key with its default, and the JSON schema that editors check with."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from tagdistill.experiment.config import check_experiment
from tagdistill.settings.base import Settings
from tagdistill.settings.distill import Anneal, Distill
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.settings.example import default_config
from tagdistill.settings.experiment import Evaluate, Experiment, Limit
from tagdistill.settings.language import Language, Split
from tagdistill.settings.schema import config_schema
from tagdistill.settings.training import StudentSettings, TeacherSettings

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "config").rglob("*.yaml"))
PARTS: tuple[type[Settings], ...] = (Anneal, Distill, EncoderSettings, Evaluate, Experiment, Language, Limit, Split)


def test_the_default_config_is_up_to_date():
    assert (ROOT / "config/default.yaml").read_text(encoding="utf-8") == default_config(), (
        "run `tagdistill config default > config/default.yaml`"
    )


def test_the_default_config_holds_the_defaults_and_nothing_else():
    values = yaml.safe_load(default_config())
    written = check_experiment(values, "default.yaml")
    needed = {key: values[key] for key in ("name", "task", "labels", "languages", "zero_shot")}
    bare = needed | {"teacher": {"preset": "recommended"}, "student": {"preset": "recommended"}}
    assert written == check_experiment(bare, "bare")


@pytest.mark.parametrize("model", [*PARTS, TeacherSettings, StudentSettings], ids=lambda m: m.__name__)
def test_the_default_config_holds_every_key(model: type[BaseModel]):
    text = default_config()
    for name, field in model.model_fields.items():
        assert re.search(rf"(?m)^\s*#?\s*{field.alias or name}:", text), name


def test_what_is_off_in_the_default_config_may_be_put_on():
    # With every `#key: value` put on that has a value the file is still YAML, and its keys are known.
    lines = [re.sub(r"^(\s*)#(?=[a-z_0-9]+: \S)(?!\S+\s+#)", r"\1", line) for line in default_config().splitlines()]
    values = yaml.safe_load("\n".join(lines))
    english = values["languages"]["en"]
    assert english["columns"] == {"token": 0, "tag": -1} and english["train"] == "data/en/train.conll"
    Language.model_validate(english)


def test_the_schema_is_up_to_date():
    assert (ROOT / "config/schema.json").read_text(encoding="utf-8") == config_schema(), (
        "run `tagdistill config schema > config/schema.json`"
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_of_the_project_fits_the_schema(path: Path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group in ("languages", "zero_shot"):
        if False in values.get(group, {}):  # YAML reads `no:` so
            values[group]["no"] = values[group].pop(False)
    jsonschema.validate(values, json.loads(config_schema()))


MISTAKES: dict[str, Any] = {
    "langages": {},
    "task": "nre",
    "teacher.updats": 3,
    "teacher.preset": "papr",
    "student.seeds": [1],
    "languages.en.train": {"pth": "x"},
    "languages.en.teacher": {"hiden": 3},
    "distill.k": 0,
    "seeds": 0,
}


@pytest.mark.parametrize("key", MISTAKES)
def test_the_schema_refuses_mistakes(key: str):
    values = copy.deepcopy(yaml.safe_load(default_config()))
    *folders, last = key.split(".")
    place = values
    for folder in folders:
        place = place[folder]
    place[last] = MISTAKES[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, json.loads(config_schema()))


def test_the_schema_takes_a_path_and_a_preset():
    values = yaml.safe_load(default_config())
    values["languages"]["en"] = {"train": "a.conll", "teacher": {"preset": "paper", "hidden": 3}}
    jsonschema.validate(values, json.loads(config_schema()))
