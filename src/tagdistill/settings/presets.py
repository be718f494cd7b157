"""Recipes for teachers and students: `preset: paper` and `preset: recommended`, written out in a config's values."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tagdistill.errors import ConfigError, nearest

Values = dict[str, Any]
Role = Literal["teacher", "teachers", "student"]

PRESETS = {
    "paper": "the recipe of Wang et al. 2020",
    "recommended": "what trained well here, for the task and the device",
}

# Wang et al. 2020, section 4.1; dropout, clipping and the choice by pooled dev score are in the published code alone.
PAPER: Values = {
    "optimizer": "sgd",
    "schedule": "plateau",
    "learning_rate": 0.1,
    "learning_rate_transitions": 0.1,
    "dropout": 0.5,
    "word_dropout": 0.05,
    "batch_words": 2000,
    "clip": 5.0,
    "evaluations": 300,
    "select": "pooled",
    "epochs": 300,
}

# What trained well in the experiments of config/evidence, with 200 to 500 labelled sentences a language.
TUNED: Values = {
    "mode": "finetune",
    "head": "linear",
    "tune_from": 4,
    "dropout": 0.1,
    "batch_words": 500,
    "learning_rate": 2e-3,
    "learning_rate_encoder": 3e-4,
    "evaluations": 4,
}
FROZEN: Values = {
    "mode": "frozen",
    "head": "bilstm",
    "hidden": 128,
    "dropout": 0.5,
    "batch_words": 500,
    "learning_rate": 4e-3,
    "evaluations": 5,
}
BY_TASK: dict[tuple[str, str], Values] = {
    ("finetune", "ner"): {"batch_words": 300, "learning_rate_encoder": 1e-4},
    ("frozen", "pos"): {"head": "mlp", "hidden": 256, "batch_words": 1000},
}
ON_GPU: Values = {"tune_from": 1, "batch_words": 1000}
UPDATES = {"frozen": (500, 1500), "finetune": (200, 450), "cuda": (500, 1500)}  # for one language, for several
LENGTH = frozenset({"updates", "epochs"})  # one stands for the other
MODES = ("frozen", "finetune")
ROLES: tuple[Role, ...] = ("teacher", "student")


def recommended(role: Role, task: str, device: str, mode: str | None = None) -> Values:
    """Return the recipe of `preset: recommended`; a teacher of several languages has as many updates as a student.

    `mode`: None: teachers are tuned, students too with `device: cuda`; otherwise they are frozen.
    """
    gpu, several = device == "cuda", role != "teacher"
    mode = mode or ("frozen" if role == "student" and not gpu else "finetune")
    recipe = (TUNED if mode == "finetune" else FROZEN) | BY_TASK.get((mode, task), {})
    if mode == "finetune" and gpu:
        recipe, mode = recipe | ON_GPU, "cuda"
    updates = UPDATES[mode][several]
    return recipe | {"updates": 2 * updates if recipe["head"] == "mlp" else updates}


def expand_presets(values: Values, where: str) -> Values:
    """Return the values of a config file with each `preset` written out; keys beside it win."""
    setting = Setting(str(values.get("task")), str(values.get("device")))
    found = dict(values)
    for role in (role for role in ROLES if role in values):
        found[role] = _expanded(values[role], role, setting, f"{where}: {role}")
    base = values["teacher"] if isinstance(values.get("teacher"), dict) else {}
    if isinstance(shared := values.get("teachers"), dict):
        found["teachers"] = {
            name: _shared(own, base, setting, f"{where}: teachers.{name}") for name, own in shared.items()
        }
    if isinstance(languages := values.get("languages"), dict):
        found["languages"] = {
            key: _language(own, base, setting, f"{where}: languages.{key}.teacher") for key, own in languages.items()
        }
    return found


class Setting(NamedTuple):
    """What recipes depend on."""

    task: str
    device: str


def _shared(own: Any, base: Values, setting: Setting, where: str) -> Any:
    """Return the settings of a teacher of several languages, which needs more updates than `teacher`."""
    if not isinstance(own, dict) or "preset" in own or LENGTH & (own.keys() | base.keys()):
        return _expanded(own, "teachers", setting, where, base.get("mode"))
    if base.get("preset") != "recommended":
        return own
    mode = own.get("mode", base.get("mode"))
    return {"updates": recommended("teachers", *setting, mode if mode in MODES else None)["updates"]} | own


def _language(language: Any, base: Values, setting: Setting, where: str) -> Any:
    if not isinstance(language, dict) or "teacher" not in language:
        return language
    return language | {"teacher": _expanded(language["teacher"], "teacher", setting, where, base.get("mode"))}


def _expanded(values: Any, role: Role, setting: Setting, where: str, mode: Any = None) -> Any:
    """Return settings without their preset; `mode` is that of the settings which they are on top of."""
    if not isinstance(values, dict) or "preset" not in values:
        return values
    name, own = values["preset"], {key: value for key, value in values.items() if key != "preset"}
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"no preset {name!r}", where=f"{where}.preset", hint=nearest(name, PRESETS))
    mode = own.get("mode", mode)
    recipe = PAPER if name == "paper" else recommended(role, *setting, mode if mode in MODES else None)
    without = LENGTH if LENGTH & own.keys() else frozenset()
    return {key: value for key, value in recipe.items() if key not in without} | own
