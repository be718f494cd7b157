"""What is wrong with a setting, in words: the key, the value, what is allowed and the nearest name."""

from __future__ import annotations

import types
import typing
from datetime import date
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tagdistill.errors import ConfigError, nearest
from tagdistill.settings.language import Split
from tagdistill.settings.reference import values_of

if typing.TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

# What pydantic calls an error, by the start of its name, and what a person calls it.
WORDS = {
    "int": "a whole number is needed",
    "float": "a number is needed",
    "finite_number": "a finite number is needed",
    "string_type": "text is needed",
    "string_too_long": "must have at most {max_length} characters",
    "bool": "true or false is needed",
    "tuple_type": "a list is needed",
    "dict_type": "keys and their values are needed",
    "model_type": "keys and their values are needed",
    "model_attributes_type": "keys and their values are needed",
    "too_short": "at least one is needed",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
}
UNIONS: tuple[Any, ...] = (Union, types.UnionType)


def explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Return the likeliest cause of a failed validation; `where` is what stands before the key, joint included."""
    # An unknown key is the likeliest cause of every other complaint (a mistyped `updates` is also a missing one).
    details = error.errors()
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    unknown = first["loc"][-1:] if first["type"] == "extra_forbidden" else ()  # it may look like anything
    keys = (*(part for part in first["loc"][: len(first["loc"]) - len(unknown)] if _is_key(part)), *unknown)
    place = f"{where}{'.'.join(map(str, keys))}".rstrip(": .")
    if first["type"] == "extra_forbidden":
        owner, _ = _owner(model, keys[:-1])
        return ConfigError("unknown key", where=place, hint=nearest(keys[-1], _keys(owner)))
    if first["type"] == "string_type" and first["loc"][-1:] == ("[key]",):
        key = first["input"]
        place = f"{where}{'.'.join(map(str, (*keys[:-1], key)))}"
        hint = _yaml_hint(key) if isinstance(key, bool | date | None) else f"Write it in quotes: '{key}'."
        return ConfigError(f"a key must be text, not {key!r}", where=place, hint=hint)
    if first["type"] == "invalid_key":
        hint = f"A number is written with a point, such as 0.{keys[-1]}; a comma begins another key."
        return ConfigError(f"a key must be text, not {keys[-1]!r}", where=place, hint=hint)
    if first["type"] == "missing":
        return ConfigError("this key is needed", where=place, hint=_allowed(model, keys) or PAGE)
    if first["type"] == "literal_error" and (first["loc"][-1] == "[key]" or not _is_union(model, keys)):
        known = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return ConfigError(
            f"cannot be {first['input']!r}",
            where=place,
            hint=nearest(first["input"], known),
        )
    if first["type"] == "value_error":
        reason = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f" ({first['input']!r})"
        return ConfigError(f"{reason}{value}", where=place)
    hint = f"{_yaml_hint(_unquoted(first, model, keys))} {_allowed(model, keys) or PAGE}".strip()
    return ConfigError(_what(first, model, keys), where=place, hint=hint)


def _unquoted(detail: ErrorDetails, model: type[BaseModel], keys: tuple[int | str, ...]) -> Any:
    """Return the value that YAML hardly read as it was meant, where text is needed; nothing where none is."""
    annotation, found = _annotation(model, keys), detail["input"]
    values = found if isinstance(found, list | tuple) and "list" in values_of(annotation) else [found]
    other = detail["type"].startswith(("dict_type", "greater_than", "less_than", "finite_number"))
    takes_text = not other and _takes_text(annotation)
    needs_text = detail["type"] == "string_type" or takes_text
    return next((value for value in values if needs_text and not isinstance(value, str | dict | list)), "")


def _takes_text(annotation: Any) -> bool:
    if get_origin(annotation) is dict:  # its keys are text in any case
        return _takes_text(get_args(annotation)[1])
    return annotation is str or annotation is Split or any(map(_takes_text, get_args(annotation)))


def _yaml_hint(value: Any) -> str:
    """Return how YAML reads what is written without quotes; nothing for text."""
    if isinstance(value, str):
        return ""
    if isinstance(value, bool):
        first, *others = ("yes", "on", "y") if value else ("no", "off", "n")
        read = f"YAML reads {', '.join((first, *others))} without quotes as {str(value).lower()}"
        return f"{read}: write it in quotes, such as '{first}'."
    if isinstance(value, int | float):
        return "YAML reads it as a number (1:2 as 62, 2.10 as 2.1): write it in quotes, as it is meant."
    if isinstance(value, date):
        return f"YAML reads {value} without quotes as a date: write it in quotes, '{value}'."
    if value is None:
        return "YAML reads null, ~ and an empty value as nothing: write text in quotes, or leave out the key."
    return "Write it in quotes."


PAGE = "config/README.md says what it means."


def _what(detail: ErrorDetails, model: type[BaseModel], keys: tuple[int | str, ...]) -> str:
    value = "nothing" if detail["input"] is None else repr(detail["input"])
    if _is_union(model, keys) or detail["type"] == "string_pattern_mismatch":
        return f"cannot be {value}"
    known = next((words for name, words in WORDS.items() if detail["type"].startswith(name)), detail["msg"].lower())
    return f"{known.format(**detail.get('ctx', {}))}, not {value}"


def _allowed(model: type[BaseModel], keys: tuple[int | str, ...]) -> str:
    """Return what a key may be and what it means; nothing where the last key is one of the user's own."""
    _, field = _owner(model, keys)
    if field is None:
        return ""
    inner = model_in(field.annotation)
    listed = get_origin(field.annotation) is tuple
    if isinstance(inner, type) and issubclass(inner, BaseModel) and not listed:
        names = ", ".join(_keys(inner)[:8]) + (" and more" if len(_keys(inner)) > 8 else "")
        if get_origin(field.annotation) is dict and keys[-1] in (field.alias, "languages", "zero_shot"):
            return f"A name for each, with its own keys below it: {names}."
        return f"A path, or keys: {names}." if inner is Split else f"Its keys: {names}."
    return f"Allowed: {values_of(_annotation(model, keys))} ({field.description})."


def _is_union(model: type[BaseModel], keys: tuple[int | str, ...]) -> bool:
    annotation = _annotation(model, keys)
    branches = [branch for branch in get_args(annotation) if branch is not type(None)]
    return get_origin(annotation) in UNIONS and len(branches) > 1


def _annotation(model: type[BaseModel], keys: tuple[int | str, ...]) -> Any:
    """Return the type of the last key: of one in a mapping that of its values; None where no field is named."""
    _, field = _owner(model, keys)
    if field is None:
        return None
    inside = get_origin(field.annotation) is dict and _owner(model, keys[:-1])[1] is field
    return get_args(field.annotation)[1] if inside else field.annotation


def _is_key(part: Any) -> bool:
    # pydantic names the branch of a union too ("function-after[...]", "tuple[str, ...]", "int"): not a key.
    return isinstance(part, int) or (not any(mark in part for mark in "([") and part not in ("int", "str", "literal"))


def _keys(model: type[BaseModel]) -> list[str]:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "preset"] if "batch_words" in keys else keys


def _owner(model: type[BaseModel], path: tuple[Any, ...]) -> tuple[type[BaseModel], FieldInfo | None]:
    """Follow keys through nested models and mappings: return the model at the end, and the field that is named last."""
    current, field = model, None
    for part in path:
        by_alias = {known.alias or name: known for name, known in current.model_fields.items()}
        if part not in by_alias:
            continue
        field = by_alias[part]
        inner = model_in(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            current = inner
        elif get_origin(field.annotation) is dict:  # its keys name no fields, whatever they look like
            break
    return current, field


def model_in(annotation: Any) -> Any:
    """Return the settings class inside `X | None`, `dict[str, X]` or `Annotated[X, ...]`."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, dict, typing.Annotated, tuple):
        found = [model_in(argument) for argument in get_args(annotation)]
        return next((f for f in found if isinstance(f, type) and issubclass(f, BaseModel)), annotation)
    return annotation
