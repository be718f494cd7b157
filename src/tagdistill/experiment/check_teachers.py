"""Refuse teachers of several languages, averages of teachers and texts of zero-shot languages that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.errors import ConfigError, nearest
from tagdistill.experiment.by_language import shared_teacher_settings
from tagdistill.experiment.runs import Runs
from tagdistill.settings.distill import OWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.experiment.mixture import Mixture
    from tagdistill.settings.distill import ObjectiveSettings
    from tagdistill.settings.experiment import Experiment

MAX_AVERAGE = 215  # characters of an average's name: files that are called by it and by their job have 255 at most


def check_teachers(experiment: Experiment, where: str) -> None:
    """Raise ConfigError at the first teacher that cannot be trained, or cannot teach what it should."""
    for name in experiment.teachers:
        _check_shared(experiment, name, where)
    _check_names(experiment, where)
    runs = Runs(experiment)
    for number, name in enumerate(experiment.distill.names):
        _check_objective(runs, name, number, where)
    for language in runs.zero_shot_text:
        if not any(language in runs.seen(name, "unlabelled") for name in runs.objectives):
            raise ConfigError(
                "no objective learns from this text: its teachers know one language each, or read labelled text alone",
                where=f"{where}: zero_shot.{language}.unlabelled",
                hint="Name a teacher of several languages in `distill.teachers`, or say with "
                f"`zero_shot.{language}.teachers` whose teachers label it.",
            )
    used = {teacher for teacher, *_ in runs.scored}
    if idle := [name for name in runs.shared if name not in used]:
        hint = f"Name it in `distill.teachers`, such as [{OWN}, {idle[0]}], or leave it out."
        raise ConfigError("no objective learns from this teacher", where=f"{where}: teachers.{idle[0]}", hint=hint)


def _check_length(mixture: Mixture, place: str) -> None:
    """Refuse teachers whose targets no file system can hold: better than once they are trained."""
    if (size := len(mixture.name)) > MAX_AVERAGE:
        what = f"the names of {len(mixture.weights)} teachers have {size} characters"
        hint = f"It can have {MAX_AVERAGE}: name fewer, or give them shorter names."
        raise ConfigError(f"{what}, and their targets a folder of this name", where=place, hint=hint)


def _check_shared(experiment: Experiment, name: str, where: str) -> None:
    """Refuse a teacher of several languages whose name or languages cannot be."""
    place = f"{where}: teachers.{name}"
    if name == OWN:
        hint = "Its settings are those of `teacher`; give a teacher of several languages another name."
        raise ConfigError("is the name of each language's own teacher", where=place, hint=hint)
    if name in experiment.languages or name in experiment.zero_shot:
        raise ConfigError("is a language, too", where=place, hint="Give the teacher another name.")
    settings = shared_teacher_settings(experiment, name, where)
    for language in settings.languages if settings.languages != "all" else ():
        if language not in experiment.languages:
            hint = nearest(language, list(experiment.languages))
            raise ConfigError(f"{language!r} is not among the trained languages", where=f"{place}.languages", hint=hint)
    if settings.vectors:
        hint = "Leave them out."
        raise ConfigError("word vectors are those of one language", where=f"{place}.vectors", hint=hint)


def _check_names(experiment: Experiment, where: str) -> None:
    """Refuse names of teachers that are no teachers."""
    known = [OWN, *experiment.teachers]
    lists: list[tuple[str, Iterable[str], list[str]]] = [("distill.teachers", experiment.distill.teachers, known)]
    for number, entry in enumerate(experiment.distill.objectives):
        lists.append((f"distill.objectives.{number}.teachers", _own_teachers(entry), known))
    for key, language in experiment.languages.items():
        if language.teachers is not None:
            hint = "`distill.teachers` names those of trained languages."
            raise ConfigError("is for zero-shot languages", where=f"{where}: languages.{key}.teachers", hint=hint)
    for key, language in experiment.zero_shot.items():
        place = f"zero_shot.{key}.teachers"
        lists.append((place, language.teachers or (), [*experiment.teachers, *experiment.languages]))
        if language.teachers and language.split("unlabelled") is None and "unlabelled" not in (language.splits or ()):
            hint = "Give it an `unlabelled` split, or leave `teachers` out."
            raise ConfigError("there is no text that they could label", where=f"{where}: {place}", hint=hint)
    for place, names, teachers in lists:
        for name in names:
            if name not in teachers:
                hint = nearest(name, teachers)
                raise ConfigError(f"there is no teacher {name!r}", where=f"{where}: {place}", hint=hint)


def _own_teachers(entry: str | ObjectiveSettings) -> Iterable[str]:
    return () if isinstance(entry, str) else entry.teachers or ()


def _check_objective(runs: Runs, name: str, number: int, where: str) -> None:
    """Refuse an objective whose teachers do not know a language, or whose loss their average does not have."""
    resolved, distill = runs.objective(name), runs.experiment.distill
    own = bool(_own_teachers(distill.objectives[number]))
    place = f"{where}: distill.{f'objectives.{number}.' if own else ''}teachers"
    if not resolved.teachers:
        return
    texts = [language for language in runs.seen(name, "unlabelled") if language not in runs.trained]
    for language in (*runs.trained, *texts):
        mixture = runs.mixture(name, language)
        if mixture is None and language in runs.trained:
            hint = f"Add `{OWN}`, or a teacher of all languages."
            raise ConfigError(f"no teacher of {name!r} knows {language!r}", where=place, hint=hint)
        if mixture:
            named = runs.languages[language].teachers  # by a zero-shot language itself
            _check_length(mixture, f"{where}: zero_shot.{language}.teachers" if named else place)
        if mixture and len(mixture.weights) > 1 and not resolved.row.averages:
            raise ConfigError(
                f"{name!r} learns from the scores of a chain, and the average of several chains is no chain: "
                f"{language!r} has {len(mixture.weights)} teachers",
                where=place,
                hint="Give this objective one teacher (`teachers`), or take another objective, such as posterior.",
            )
