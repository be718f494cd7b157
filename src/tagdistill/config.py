"""Read a config file into an `Experiment`, with errors that name the file, the key, the value and what is allowed."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from tagdistill.errors import ConfigError, nearest
from tagdistill.settings import LANGUAGE_ID, SPLITS, Experiment, Language, TeacherSettings, expand_preset

Model = TypeVar("Model", bound=BaseModel)
# Which of a teacher's files each objective reads; the registry of losses says the same (a test compares them).
NEEDS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "softmax": (),
    "token": ("targets",),
    "emission": ("scores",),
    "top_k": ("targets",),
    "top_wk": ("targets",),
    "posterior": ("targets",),
    "posterior+top_wk": ("targets",),
    "structural": ("scores",),
    "scores": ("scores",),
}


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key written twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, ((key_node, _), key) in enumerate(zip(node.value, keys, strict=True)):
            if key in keys[:position]:
                line = key_node.start_mark.line + 1
                raise ConfigError(f"key {key!r} is written twice", where=f"{key_node.start_mark.name}:{line}")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; a broken file is an error with its line."""
    try:
        with path.open(encoding="utf-8") as handle:
            value = yaml.load(handle, _Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise ConfigError("holds no settings", where=str(path), hint="config/README.md lists every key.")
    return value


def read_experiment(path: Path, **overrides: Any) -> Experiment:
    """Read and check one config file; `overrides` replace top-level keys, as `--config key=value` does."""
    return check_experiment({**read_yaml(path), **overrides}, str(path))


def check_experiment(values: dict[str, Any], where: str) -> Experiment:
    """Check the settings of a whole experiment; raise ConfigError at the first thing that cannot be used."""
    experiment = validate(Experiment, values, where)
    for group, languages in (("languages", experiment.languages), ("zero_shot", experiment.zero_shot)):
        for key, language in languages.items():
            _check_language(experiment, key, language, f"{where}: {group}.{key}", trained=group == "languages")
    if both := sorted(set(experiment.languages) & set(experiment.zero_shot)):
        raise ConfigError(f"{both[0]!r} is both trained and zero-shot", where=f"{where}: zero_shot.{both[0]}")
    _check_labels(experiment, where)
    return experiment


def validate(model: type[Model], values: Any, where: str, *, joint: str = ": ") -> Model:
    """Validate settings and word the first failure for a person; `joint` stands between `where` and the key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(error, model, where + joint) from None


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    # An unknown key is the likeliest cause of every other complaint (a mistyped `updates` is also a missing one).
    details = error.errors()
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    place = f"{where}{'.'.join(_key(part) for part in first['loc'] if _is_key(part))}".rstrip(": .")
    if first["type"] == "extra_forbidden":
        owner = _model_at(model, first["loc"][:-1])
        return ConfigError("unknown key", where=place, hint=nearest(first["loc"][-1], _keys(owner)))
    if first["type"] == "missing":
        return ConfigError("this key is needed", where=place, hint="config/README.md says what it means.")
    message = first["msg"].removeprefix("Value error, ")
    value = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
    if first["type"] == "literal_error":
        allowed = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return ConfigError(f"cannot be {first['input']!r}", where=place, hint=nearest(first["input"], allowed))
    return ConfigError(f"{message[:1].lower()}{message[1:]}{value}", where=place)


def _is_key(part: Any) -> bool:
    # pydantic names the branch of a union too ("function-after[...]", "tuple[str, ...]", "int"): not a key.
    return isinstance(part, int) or (not any(mark in part for mark in "([") and part not in ("int", "str", "literal"))


def _key(part: Any) -> str:
    return str(part)


def _keys(model: type[BaseModel]) -> list[str]:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    return [*keys, "preset"] if "batch_words" in keys else keys


def _model_at(model: type[BaseModel], path: tuple[Any, ...]) -> type[BaseModel]:
    """Follow a path of keys through nested models, mappings and unions to the model that owns its end."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            by_alias = {field.alias or name: field for name, field in current.model_fields.items()}
            if part in by_alias:
                current = _model_in(by_alias[part].annotation)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else model


def _model_in(annotation: Any) -> Any:
    """Return the settings class inside `X | None`, `dict[str, X]` or `Annotated[X, ...]`."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, dict, typing.Annotated, tuple):
        found = [_model_in(argument) for argument in get_args(annotation)]
        return next((f for f in found if isinstance(f, type) and issubclass(f, BaseModel)), annotation)
    return annotation


def _check_language(experiment: Experiment, key: str, language: Language, where: str, *, trained: bool) -> None:
    if not LANGUAGE_ID.match(key):
        raise ConfigError("a language's key is made of letters, digits, '_' and '-'", where=where)
    try:
        present = available_splits(key, language, trained=trained)
    except ConfigError as error:  # a language that the demo has not
        raise ConfigError(error.what, where=where, hint=error.hint) from None
    needed = "train" if trained else "test"
    if needed not in present:
        raise ConfigError(f"no {needed!r} split is given", where=where, hint=f"Add `{needed}: FILE`.")
    if language.source == "ud" and not (language.treebank and language.release):
        raise ConfigError("source 'ud' needs `treebank` and `release`", where=where)
    if language.teacher and not trained:
        raise ConfigError("a zero-shot language has no teacher", where=f"{where}.teacher", hint="Take it out.")
    if language.teacher:
        teacher_settings(experiment, key, where)


def _check_labels(experiment: Experiment, where: str) -> None:
    upos = experiment.labels == "upos"
    if upos != (experiment.task == "pos"):
        wanted = "`labels: upos`" if experiment.task == "pos" else "the list of entity types, such as [PER, LOC, ORG]"
        raise ConfigError(f"task {experiment.task!r} needs {wanted}", where=f"{where}: labels")
    if not upos and (len(set(experiment.labels)) != len(experiment.labels) or not experiment.labels):
        raise ConfigError("the types must be a list without repeats", where=f"{where}: labels")


def available_splits(key: str, language: Language, *, trained: bool) -> tuple[str, ...]:
    """Return the splits of a language that the experiment uses, in the order train, dev, test, unlabelled."""
    if language.source == "path":
        present = {name for name in SPLITS if language.split(name) is not None}
    else:
        present = set(language.splits or _all_splits(key, language))
        present |= {name for name in SPLITS if language.split(name) is not None}
    return tuple(name for name in SPLITS if name in present and (trained or name == "test"))


def _all_splits(key: str, language: Language) -> tuple[str, ...]:
    if language.source == "demo":
        from tagdistill.data import demo

        return demo.splits(language.code or key)
    return ("train", "dev", "test")


def teacher_settings(experiment: Experiment, language: str, where: str = "config") -> TeacherSettings:
    """Return the teacher settings of one language: the experiment's, with the language's own on top."""
    own = _own_teacher(experiment.languages[language].teacher, where)
    base = experiment.teacher.model_dump(exclude_unset=True, mode="json")
    if "updates" in own or "epochs" in own:  # they stand for one another
        base = {key: value for key, value in base.items() if key not in ("updates", "epochs")}
    return validate(TeacherSettings, {**base, **own}, f"{where}.teacher", joint=".")


def _own_teacher(values: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        return expand_preset(values)
    except ValueError as error:
        raise ConfigError(str(error), where=f"{where}.teacher") from None


def decoder_of(objective: str) -> Literal["crf", "softmax"]:
    """Return the decoder of the student of an objective: `softmax` and `token` are locally normalised."""
    return "softmax" if objective in ("softmax", "token") else "crf"


def needs_of(objective: str) -> tuple[str, ...]:
    """Return which of a teacher's files an objective reads: targets, scores, or none."""
    return NEEDS[objective]


def describe_experiment(experiment: Experiment, name: str) -> str:
    """Return one paragraph for a person: what a config file would train."""
    objectives = experiment.distill.objectives
    decoders = sorted({decoder_of(objective) for objective in objectives if needs_of(objective)})
    teachers = len(experiment.languages) * len(experiment.teacher.seeds) * len(decoders)
    return (
        f"{name}: fine. {experiment.name}: {experiment.task}, {len(experiment.languages)} trained languages "
        f"({', '.join(experiment.languages)}), {len(experiment.zero_shot)} zero-shot"
        f"{' (' + ', '.join(experiment.zero_shot) + ')' if experiment.zero_shot else ''}; {teachers} teachers, "
        f"{len(objectives) * len(experiment.seeds)} students ({', '.join(objectives)}; "
        f"seeds {', '.join(map(str, experiment.seeds))})."
    )
