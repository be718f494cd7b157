"""A whole experiment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tagdistill.settings.base import Decode, Kernel, Positive, Seeds, Settings, Task
from tagdistill.settings.distill import MAX_NAME, Distill
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.settings.export import Export
from tagdistill.settings.language import Language
from tagdistill.settings.training import StudentSettings, TeacherSettings

TEACHERS_ON_ALL = 20  # `evaluate: {teachers: auto}`: up to so many languages every teacher is scored on every language


class Limit(Settings):
    """The first n sentences of a split, in every language."""

    train: Positive | None = Field(None, description="sentences")
    dev: Positive | None = Field(None, description="sentences")
    test: Positive | None = Field(None, description="sentences")
    unlabelled: Positive | None = Field(None, description="sentences")


class Evaluate(Settings):
    """What is scored, and how."""

    teachers: Literal["all", "own", "auto"] = Field("auto", description="auto: all up to 20 languages, else own")
    decode: Decode | None = Field(
        None,
        description="which label sequences a model may predict, on dev too; constrained (the default): well-formed "
        "spans only; unconstrained: any. Tags are never constrained",
    )


def _languages(value: Any) -> Any:
    """YAML reads the key `no:` as the boolean false: it is Norwegian here."""
    if isinstance(value, dict):
        if False in value and "no" in value:
            raise ValueError("the key 'no' is written twice, with and without quotes")
        return {"no" if key is False else key: item for key, item in value.items()}
    return value


TeacherName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=MAX_NAME)]
Languages = Annotated[dict[str, Language], BeforeValidator(_languages)]


class Experiment(Settings):
    """A whole experiment: `results/NAME/`."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=MAX_NAME,
        description="letters, digits, `.`, `_`, `-`; results go to results/NAME/",
    )
    task: Task = Field(description="tags of words (pos) or spans (ner, aspect)")
    labels: Literal["upos"] | tuple[str, ...] = Field(description="`upos`, or the entity types")
    root: str = Field(".", description="where relative paths start; itself relative to the folder of the run")
    limit: Limit = Field(default_factory=Limit, description="a cap on every language's splits")
    exclude_test_repeats: bool = Field(
        False, description="leave sentences of any test set out of all training and unlabelled text"
    )
    languages: Languages = Field(min_length=1, description="trained languages")
    zero_shot: Languages = Field(default_factory=dict, description="languages that are only evaluated")
    encoder: EncoderSettings = Field(
        default_factory=lambda: EncoderSettings.model_validate({}), description="the encoder of all models"
    )
    teacher: TeacherSettings = Field(description="how teachers are trained")
    teachers: dict[TeacherName, dict[str, Any]] = Field(
        default_factory=dict,
        description="teachers of several languages, by names of your own: `languages` (all, or a list) and the keys "
        "of `teacher`",
    )
    student: StudentSettings = Field(description="how students are trained")
    distill: Distill = Field(
        default_factory=lambda: Distill.model_validate({}), description="objectives and how they teach"
    )
    seeds: Seeds = Field((0,), description="seeds of the students")
    evaluate: Evaluate = Field(
        default_factory=lambda: Evaluate.model_validate({}), description="what is scored, and how"
    )
    export: Export = Field(
        default_factory=lambda: Export.model_validate({}), description="what is exported of a student"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    kernel: Kernel = Field(
        "torch",
        description="CRFs on a CPU; compiled: faster, needs a C++ compiler, results differ in the last digits",
    )

    @property
    def decode(self) -> Decode:
        """How dev and test sets are decoded: tags without constraints, spans as `evaluate` says, or constrained."""
        return "unconstrained" if self.task == "pos" else self.evaluate.decode or "constrained"
