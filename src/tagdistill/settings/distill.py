"""What students learn from their teachers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tagdistill.settings.base import Settings, Share
from tagdistill.settings.objectives import OBJECTIVES, Objective, ObjectiveName

Paths = Annotated[int, Field(gt=0, le=255)]  # a path has one byte per label
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_AsWritten = Literal["auto", "off", "soft", False]  # YAML 1.1 reads a plain `off` as false
Gate = Annotated[
    Literal["auto", "off", "soft"],
    BeforeValidator(lambda value: "off" if value is False else value, json_schema_input_type=_AsWritten),
]
Ratio = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OWN = "own"  # the teachers of one language each, whose settings are those of `teacher`
MAX_NAME = 60  # characters: names are folders, and parts of the names of files


def _weights(value: Any) -> Any:
    """Return names of teachers as weights: a list of them weighs all alike, and one name is a list of it."""
    if isinstance(value, str):
        return {value: 1.0}
    if isinstance(value, (list, tuple, dict)) and not value:
        raise ValueError("name one teacher or more")
    if isinstance(value, (list, tuple)):
        if len(set(map(str, value))) < len(value):
            raise ValueError("a teacher is named twice")
        return dict.fromkeys(value, 1.0)
    return value


Weights = dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
Teachers = Annotated[
    Weights, BeforeValidator(_weights, json_schema_input_type=str | tuple[str, ...] | dict[str, float])
]


class Anneal(Settings):
    """Weight of the teacher on labelled text: linear over the updates, or the paper's tau."""

    start: Share = Field(1.0, alias="from", description="weight at the first update")
    end: Share = Field(0.0, alias="to", description="weight at the last update")
    tau: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="instead of from and to: weight 1, reduced by this many per cent per epoch (the paper's code)",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Anneal:
        if self.tau is not None and (self.start, self.end) != (1.0, 0.0):  # a job writes its defaults out
            raise ValueError("give `tau`, or `from` and `to`")
        return self


class ObjectiveSettings(Settings):
    """An objective with settings of its own; what it leaves out is that of `distill`."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$",
        max_length=MAX_NAME,
        description="its name in folders and tables: letters, digits, `_`, `.`, `+`, `-`",
    )
    loss: ObjectiveName = Field(description="the objective whose loss it is")
    temperature: Temperature | None = Field(None, description="of token, emission and posterior targets")
    anneal: Anneal | None = Field(None, description="weight of the teacher over the updates")
    unlabelled_ratio: Ratio | None = Field(
        None, description="unlabelled batches per labelled batch; 0: labelled text only"
    )
    k: Paths | None = Field(None, description="paths that it reads, of the `distill.k` in the targets")
    gate: Gate | None = Field(None, description="whether a teacher that is worse than the baseline on dev weighs less")
    teachers: Teachers | None = Field(
        None, description="`own` and names of `teachers`: one, a list, or names with weights"
    )

    @model_validator(mode="before")
    @classmethod
    def _name_and_loss(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name, loss = values.get("name"), values.get("loss")
        if name is None and loss is not None:
            return {**values, "name": loss}
        if loss is None and isinstance(name, str):
            if name not in OBJECTIVES:
                raise ValueError(f"{name!r} is a name of your own: say with `loss` which objective it is")
            return {**values, "loss": name}
        if isinstance(name, str) and isinstance(loss, str) and name != loss and {name, loss} <= OBJECTIVES.keys():
            raise ValueError(f"{name!r} is an objective, and cannot be the name of another ({loss!r})")
        return values

    @model_validator(mode="after")
    def _has_an_effect(self) -> ObjectiveSettings:
        row = OBJECTIVES[self.loss]
        has = {
            "temperature": row.tempered,
            "anneal": bool(row.needs) and not row.gold_only,
            "unlabelled_ratio": bool(row.needs),
            "k": row.reads_paths,
            "gate": bool(row.needs),
            "teachers": bool(row.needs),
        }
        for key, effect in has.items():
            if getattr(self, key) is not None and not effect:
                raise ValueError(f"`{key}` changes nothing in `{self.loss}`: leave it out")
        return self


@dataclass(frozen=True)
class ResolvedObjective:
    """An objective with all of its settings, its own and those of `distill`."""

    name: str
    row: Objective
    temperature: float
    anneal: Anneal
    unlabelled_ratio: float
    k: int | None  # paths that it reads; None: all that the targets hold
    gate: Gate
    teachers: dict[str, float]  # weights of `own` and of shared teachers; none where the objective has no teachers

    @property
    def uses_unlabelled(self) -> bool:
        """Whether it trains on unlabelled text: it has a teacher and a share of such batches."""
        return bool(self.row.needs) and self.unlabelled_ratio > 0


def _form(value: Any) -> str:
    # With the brackets it is no key: see settings.messages.
    return "(keys)" if isinstance(value, (dict, ObjectiveSettings)) else "(name)"


AnyObjective = Annotated[
    Annotated[ObjectiveName, Tag("(name)")] | Annotated[ObjectiveSettings, Tag("(keys)")], Discriminator(_form)
]


class Distill(Settings):
    """What the student learns from its teachers."""

    objectives: tuple[AnyObjective, ...] = Field(
        ("baseline", "posterior", "structural"), min_length=1, description="one student per objective and seed"
    )
    k: Paths = Field(10, description="paths in the targets")
    temperature: Temperature = Field(1.0, description="of token, emission and posterior targets")
    anneal: Anneal = Field(
        default_factory=lambda: Anneal.model_validate({}), description="weight of the teacher over the updates"
    )
    unlabelled_ratio: Ratio = Field(1.0, description="unlabelled batches per labelled batch")
    gate: Gate = Field(
        "auto",
        description="soft: a teacher with more errors on dev than the baseline weighs less, from 1 for as many errors "
        "to 0 for twice as many, on labelled and unlabelled text: the baseline must be an objective, and every "
        "language must have a dev set; auto: soft where the baseline is an objective and a language has a dev set",
    )
    teachers: Teachers = Field(
        default_factory=lambda: {OWN: 1.0},
        description="whose distributions are averaged: `own`, one per language, and names of `teachers`; one, a list, "
        "or names with weights",
    )

    @model_validator(mode="after")
    def _differently_named(self) -> Distill:
        names = [name.casefold() for name in self.names]  # some file systems have no case
        twice = [name for place, name in enumerate(self.names) if name.casefold() in names[:place]]
        if twice:
            raise ValueError(f"two objectives are named {twice[0]!r}: give each a `name` of its own")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the objectives, in their order."""
        return tuple(entry if isinstance(entry, str) else entry.name for entry in self.objectives)

    def first_with(self, loss: str) -> str | None:
        """Return the first objective with a loss: the one of its own name, if there is one; None without any."""
        found = [name for name in self.names if self.resolve(name).row.name == loss]
        return loss if loss in found else next(iter(found), None)

    def resolve(self, name: str) -> ResolvedObjective:
        """Return an objective of these, by its name, with all of its settings."""
        entry = self.objectives[self.names.index(name)]
        own = entry if isinstance(entry, ObjectiveSettings) else ObjectiveSettings(name=entry, loss=entry)
        row = OBJECTIVES[own.loss]
        anneal = Anneal(start=0.0, end=0.0) if row.gold_only else own.anneal or self.anneal
        return ResolvedObjective(
            name=name,
            row=row,
            temperature=self.temperature if own.temperature is None else own.temperature,
            anneal=anneal,
            unlabelled_ratio=self.unlabelled_ratio if own.unlabelled_ratio is None else own.unlabelled_ratio,
            k=own.k,
            gate=(self.gate if own.gate is None else own.gate) if row.needs else "off",
            teachers=(own.teachers or self.teachers) if row.needs else {},
        )
