"""The page of every config key, written from the settings themselves."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tagdistill.settings.base import Sha256, Task
from tagdistill.settings.distill import Anneal, Distill, ObjectiveSettings, Weights
from tagdistill.settings.encoder import EncoderSettings, Vectors
from tagdistill.settings.experiment import Evaluate, Experiment, Limit
from tagdistill.settings.export import Export
from tagdistill.settings.language import Language, Split
from tagdistill.settings.names import FORMATS, PROVIDERS, SOURCES, summaries_in
from tagdistill.settings.presets import PAPER, Role, recommended
from tagdistill.settings.training import StudentSettings, TeacherSettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The experiment", Experiment, "Top-level keys. `languages` are trained, `zero_shot` are evaluated only."),
    ("`languages.XX` and `zero_shot.XX`", Language, "A key is any id; `code:` says the language where they differ."),
    (
        "`train:`, `dev:`, `test:`, `unlabelled:`",
        Split,
        "A path alone, or these keys. `take` cuts a part out of a file, so that one file can serve two splits.",
    ),
    ("`limit:`", Limit, "The first n sentences of a split, in every language."),
    ("`encoder:`", EncoderSettings, "The pre-trained encoder. A frozen one runs only up to its highest `tap`."),
    ("`teacher:`", TeacherSettings, "How teachers are trained; `languages.XX.teacher` overrides it for one language."),
    (
        "`teacher.vectors:`",
        Vectors,
        "Word vectors such as fastText's, concatenated to a frozen encoder's; a word that has none gets zeros.",
    ),
    ("`student:`", StudentSettings, "How students are trained: the same keys as the teachers', and `sampling`."),
    ("`distill:`", Distill, "What students learn from their teachers."),
    (
        "`distill.objectives:`",
        ObjectiveSettings,
        "An objective is a name, or these keys, such as `{name: posterior-T2, loss: posterior, temperature: 2}`. "
        "`name` alone will do where it is that of an objective. What is left out is that of `distill:`.",
    ),
    ("`distill.anneal:`", Anneal, "Weight of the teacher on labelled text; it is 1 on text without labels."),
    ("`evaluate:`", Evaluate, "What is scored, and how."),
    ("`export:`", Export, "What an exported student's folder holds. The first graph listed is the one that is run."),
)

HEAD = """\
# Every config key

<!-- Written by `tagdistill config reference`; a test compares. -->

A config file stands alone: nothing of the demo leaks into another experiment. An unknown key, language or file
stops the run before anything is planned. `tagdistill config check FILE` finds these, and reads the data that exists on
this machine: invalid columns, tags, labels and slices stop it too. `--config root=FOLDER` on the command line replaces
`root:`, and so for every top-level key; a mapping (`--config 'student={{...}}'`) takes the place of the whole one.

[default.yaml](default.yaml) holds every key with its default. An editor that knows JSON schemas completes and checks a
file that begins with `# yaml-language-server: $schema=config/schema.json`.

Formats:

{formats}

Sources:

{sources}

What is fetched lies in `resources/data/`; its checksums are written to `resources/data/checksums.sha256` at the first
download and enforced from then on. A mirror is an environment variable `TAGDISTILL_SOURCE_URL`, such as
`TAGDISTILL_UD_URL`, with the same paths below it; that of fastText's word vectors is `TAGDISTILL_FASTTEXT_URL`.

Providers of encoders:

{providers}
"""

RECIPES: tuple[tuple[str, Role, str, str], ...] = (
    ("teacher", "teacher", "cpu", "finetune"),
    ("frozen teacher", "teacher", "cpu", "frozen"),
    ("student", "student", "cpu", "frozen"),
    ("tuned student", "student", "cpu", "finetune"),
    ("teacher, `device: cuda`", "teacher", "cuda", "finetune"),
    ("student, `device: cuda`", "student", "cuda", "finetune"),
)


def config_reference() -> str:
    """Return config/README.md: a table of keys for each part of the settings."""
    parts = [HEAD.format(formats=_listed(FORMATS), sources=_listed(SOURCES), providers=_listed(PROVIDERS))]
    for title, model, text in SECTIONS:
        rows = [_row(name, field) for name, field in model.model_fields.items()]
        parts.append(
            "\n".join([f"## {title}", "", text, "", "| key | values | default | meaning |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join([*parts, *_presets()]) + "\n"


def _presets() -> list[str]:
    """Return the sections of the presets, each with its values."""
    tasks: dict[tuple[str, str], list[str]] = {}  # by what they share
    for title, role, device, mode in RECIPES:
        for task in get_args(Task):
            tasks.setdefault((title, _values(recommended(role, task, device, mode))), []).append(f"`{task}`")
    rows = [f"| {title} | {', '.join(names)} | {values} |" for (title, values), names in tasks.items()]
    table = ["| of | task | keys |", "|---|---|---|", *rows]
    return [
        f"## `preset: paper`\n\nIn `teacher:` or `student:`, the recipe of Wang et al. 2020: {_values(PAPER)}. "
        "Other keys override it.",
        "## `preset: recommended`\n\nIn `teacher:` or `student:`, what trained well in the experiments of "
        "[config/evidence](evidence), by the task, `mode` and `device` of the config. Teachers are tuned unless they "
        "say `mode: frozen`; students are frozen unless they say `mode: finetune` or the config `device: cuda`. A "
        "teacher of several languages has as many updates as a student. Other keys override it.\n\n" + "\n".join(table),
    ]


def _values(settings: dict[str, Any]) -> str:
    return ", ".join(f"`{key}: {value}`" for key, value in settings.items())


def _listed(folder: str) -> str:
    """Return a list of the modules in a folder of the package, each with the first line of its docstring."""
    return "\n".join(f"- `{name}`: {summary}" for name, summary in summaries_in(folder).items())


def _row(name: str, field: FieldInfo) -> str:
    values = values_of(field.annotation).replace("|", "\\|")
    return f"| `{field.alias or name}` | {values} | {_default(field)} | {(field.description or '').replace('|', '/')} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.get_default(call_default_factory=False)
    if field.default_factory is not None or default is PydanticUndefined:
        return "none" if field.default_factory is dict else "as listed" if field.default_factory is not None else ""
    if default is None:
        return "none"
    return f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) + "}"
    return str(value)


def values_of(annotation: Any) -> str:
    """Return a type as a reader of YAML thinks of it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if annotation == Sha256:
        return "64 hexadecimal digits"
    if origin is Annotated:
        return values_of(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(values_of(each) for each in arguments if each is not type(None))
    if origin is tuple:
        return f"list of {values_of(arguments[0])}".replace("number", "numbers")
    if annotation == Weights:
        return "text, list of text, or names with weights"
    if origin is dict:
        return "keys and values"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys, below"
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}.get(annotation, "anything")
