"""A config file with every key, its meaning and its default, written from the settings themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_origin

import yaml
from pydantic import BaseModel

from tagdistill.settings.experiment import Experiment
from tagdistill.settings.language import Language, Split
from tagdistill.settings.messages import model_in
from tagdistill.settings.presets import PRESETS, Role, recommended
from tagdistill.settings.reference import values_of
from tagdistill.settings.training import StudentSettings, TeacherSettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

HEAD = """\
# Every key with its default. Written by `tagdistill config default`; a test compares.
# It runs as it stands, on the embedded demo. `#key: value` is off: it has no default,
# belongs to other sources, or stands for what the preset above it sets.
# Copy the file, change what you need, leave out the rest, and check it with `tagdistill config check FILE`.

"""
# What has no default.
EXAMPLE: dict[str, Any] = {
    "name": "default",
    "task": "ner",
    "labels": ["PER", "LOC", "ORG"],
    "updates": 300,
    "source": "demo",
    "path": "data/en/train.conll",
}
TRAINED, ZERO_SHOT = ("en", "es"), ("de",)
SAME = (TeacherSettings, StudentSettings)  # the keys of the second are among those of the first


def default_config() -> str:
    """Return config/default.yaml."""
    lines: list[str] = []
    for name, field in Experiment.model_fields.items():
        if name in ("languages", "zero_shot"):
            lines.append(f"{name}:  # {_meaning(field)}")
            if name == "languages":
                lines += [f"  {TRAINED[0]}:", *_language()]
            others = TRAINED[1:] if name == "languages" else ZERO_SHOT
            lines += [f"  {code}: {{source: demo}}" for code in others]
        else:
            lines += _field(name, field, 0)
    return HEAD + "\n".join(lines) + "\n"


def _language() -> list[str]:
    lines = []
    for name, field in Language.model_fields.items():
        if model_in(field.annotation) is Split:
            lines.append(_line(name, f"data/{TRAINED[0]}/{name}.conll", field, 4, on=False))
        else:
            lines.append(_line(name, _default(name, field), field, 4, on=name == "source"))
        if name == "train":  # the keys of a split, shown once
            lines += [f"    #{name}:  # or, where a path alone is not enough:"]
            lines += [_line(f"  {n}", _default(n, f), f, 4, on=False) for n, f in Split.model_fields.items()]
    return lines


def _field(name: str, field: FieldInfo, indent: int, *, meaning: bool = True) -> list[str]:
    key, listed = field.alias or name, get_origin(field.annotation) is tuple
    model = None if listed else model_in(field.annotation)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        value = _default(name, field)
        return [_line(key, value, field if meaning else None, indent, on=value is not None)]
    if not (field.is_required() or field.default_factory):  # a teacher's own encoder: its keys are shown above
        return [_line(key, {}, field, indent, on=False)]
    inner = [line for n, f in model.model_fields.items() for line in _field(n, f, indent + 2)]
    if model in SAME:
        inner = _recipe(model)
    on = any(not line.lstrip().startswith("#") for line in inner)
    if not on:
        inner = [f"{' ' * indent}#  {line.lstrip()[1:]}" for line in inner]
    return [f"{' ' * indent}{'' if on else '#'}{key}:  # {_meaning(field)}", *inner]


def _recipe(model: type[BaseModel]) -> list[str]:
    """Return the recommended recipe, and the keys that it stands for, which would win over it."""
    role: Role = "student" if model is StudentSettings else "teacher"
    values = recommended(role, EXAMPLE["task"], "auto")
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in PRESETS.items()) + "; keys beside it win"
    lines = [f"  preset: recommended  # {meanings}" if model is TeacherSettings else "  preset: recommended"]
    for name, field in model.model_fields.items():
        value = values.get(
            name, {} if name in ("encoder", "vectors") else None if name == "epochs" else _default(name, field)
        )
        lines.append(_line(name, value, field if _own(model, name) else None, 2, on=False))
    return lines


def _own(model: type[BaseModel], name: str) -> bool:
    """Return whether the meaning of a key is not shown before, among those of a teacher."""
    return model is not SAME[1] or name not in SAME[0].model_fields


def _line(key: str, value: Any, field: FieldInfo | None, indent: int, *, on: bool) -> str:
    shown = "" if value is None else " " + yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n...")[0]
    meaning = f"  # {_meaning(field)}" if field else ""
    return f"{' ' * indent}{'' if on else '#'}{key}:{shown.rstrip()}{meaning}"


def _meaning(field: FieldInfo) -> str:
    values = values_of(field.annotation)
    choice = f" ({values})" if "`" in values and field.annotation not in (bool, bool | None) else ""
    text = field.description or ""
    return text.replace("`", "") + (choice.replace("`", "") if choice.strip(" ()") not in text else "")


def _default(name: str, field: FieldInfo) -> Any:
    if name in EXAMPLE:
        return EXAMPLE[name]
    value = field.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value
