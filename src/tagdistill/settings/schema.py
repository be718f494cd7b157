"""The settings as a JSON schema: editors complete and check a config file with it."""

from __future__ import annotations

import json
from typing import Any

from tagdistill.settings.experiment import Experiment
from tagdistill.settings.language import SPLITS
from tagdistill.settings.presets import PRESETS


def config_schema() -> str:
    """Return config/schema.json, with what the readers of a config file take beside the settings' own types."""
    schema = Experiment.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    language = definitions["Language"]["properties"]
    for split in SPLITS:  # a path alone will do
        language[split]["anyOf"].insert(0, {"type": "string"})
    language["teacher"] = {"$ref": "#/$defs/TeacherSettings", "description": language["teacher"]["description"]}
    for training in ("TeacherSettings", "StudentSettings"):
        definitions[training]["properties"]["preset"] = {
            "enum": list(PRESETS),
            "description": "; ".join(f"{name}: {meaning}" for name, meaning in PRESETS.items()),
        }
    objective = definitions["ObjectiveSettings"]  # one of the two stands for the other
    objective["anyOf"] = [{"required": [name]} for name in objective.pop("required")]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "An experiment of tagdistill"}
    return json.dumps(head | {key: value for key, value in schema.items() if key != "title"}, indent=1) + "\n"
