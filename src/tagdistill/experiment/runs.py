"""The models and the languages they are tested on, as the settings call for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tagdistill.experiment.config import available_splits, teacher_settings
from tagdistill.settings.experiment import TEACHERS_ON_ALL, Experiment
from tagdistill.settings.objectives import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Model:
    """One trained model: a student (its objective) or a teacher (its language)."""

    kind: Literal["student", "teacher"]
    name: str  # its folder below results/NAME, and below predictions/ and metrics/
    decoder: str
    seed: int
    objective: str | None = None
    teacher: str | None = None


@dataclass(frozen=True)
class Target:
    """One language that models are tested on."""

    language: str
    role: Literal["trained", "zero_shot"]
    out_of_domain: bool
    leave_out: str | None

    @property
    def averaged(self) -> bool:
        return self.leave_out is None


def students(experiment: Experiment) -> list[Model]:
    """Return the students that the settings call for, in config order."""
    return [
        Model("student", f"students/{name}/seed-{seed}", OBJECTIVES[name].decoder, seed, objective=name)
        for name in experiment.distill.objectives
        for seed in experiment.seeds
    ]


def teachers(experiment: Experiment) -> list[Model]:
    """Return the teachers that the objectives ask for, in config order."""
    asked = {OBJECTIVES[objective].teacher_decoder for objective in experiment.distill.objectives}
    return [
        Model("teacher", f"teachers/{language}/{decoder}/seed-{seed}", decoder, seed, teacher=language)
        for decoder in ("crf", "softmax")
        if decoder in asked
        for language in experiment.languages
        for seed in teacher_settings(experiment, language).seeds
    ]


def targets(experiment: Experiment) -> list[Target]:
    """Return the languages that have a test set: trained ones, then zero-shot ones."""
    found = []
    for role, languages in (("trained", experiment.languages), ("zero_shot", experiment.zero_shot)):
        for key, language in languages.items():
            if "test" in available_splits(key, language, trained=role == "trained"):
                found.append(Target(key, role, language.out_of_domain, language.leave_out))  # type: ignore[arg-type]
    return found


def _planned(experiment: Experiment) -> Iterator[tuple[Model, Target, bool]]:
    """Yield model, language, and whether the metrics must be there: `auto` leaves teachers elsewhere open."""
    everywhere = experiment.evaluate.teachers
    few = len(experiment.languages) + len(experiment.zero_shot) <= TEACHERS_ON_ALL
    for model in [*teachers(experiment), *students(experiment)]:
        for target in targets(experiment):
            own = model.kind == "student" or model.teacher == target.language
            if own or everywhere == "all" or (everywhere == "auto" and few):
                yield model, target, own or everywhere == "all"
