"""Warnings of models that are hardly trained: with few updates a teacher is worse than a student without teachers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.formatting import count, listed, series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tagdistill.experiment.plan import Plan
    from tagdistill.settings.training import Training

MAX_NAMED = 5


class Bounds(NamedTuple):
    """Numbers of updates: with fewer than `least` a model is far from what it could be; `enough` do for small texts."""

    least: int
    enough: int


# From runs on treebanks and named entities with 100 to 500 labelled sentences a language.
TEACHERS = {"frozen": Bounds(100, 500), "finetune": Bounds(50, 100)}
STUDENTS = {"frozen": Bounds(300, 1500), "finetune": Bounds(100, 300)}
PASSES = 3  # that do over texts that are too large for these


class Length(NamedTuple):
    """How long a model is trained, as far as it is known."""

    updates: int | None
    words: int | None  # of its labelled text
    batch_words: int
    bounds: Bounds

    @property
    def few(self) -> bool:
        """Whether the updates are few, or do not read the labelled text once."""
        if self.updates is None:
            return False
        once = 0 if self.words is None else self.words / self.batch_words
        return self.updates < max(self.bounds.least, once)

    @property
    def enough(self) -> int:
        """Updates that would do."""
        passes = 0 if self.words is None else PASSES * self.words / self.batch_words
        return max(self.bounds.enough, math.ceil(passes / 100) * 100)


def few_updates(plan: Plan, words: Mapping[str, int]) -> list[str]:
    """Return a warning for each key of a config that gives models few updates, a line each.

    `words` counts those of the labelled training text of languages, as far as they are known.
    """
    groups: dict[str, list[tuple[str, Length]]] = {}
    for key, language, length in _lengths(plan, words):
        if length.few:
            groups.setdefault(key, []).append((language, length))
    return [_warning(key, models) for key, models in groups.items()]


def _lengths(plan: Plan, words: Mapping[str, int]) -> Iterator[tuple[str, str, Length]]:
    """Yield the key of the settings of each model, its language ("" for students) and how long it is trained."""
    for language in (x for x in plan.runs.trained if any(model.teacher == x for model in plan.runs.teachers)):
        own = plan.experiment.languages[language].teacher
        key = f"languages.{language}.teacher" if {"updates", "epochs"} & own.keys() else "teacher"
        yield key, language, _length(plan.runs.teacher(language), words.get(language), TEACHERS)
    for name in dict.fromkeys(str(model.teacher) for model in plan.runs.teachers if model.teacher in plan.runs.shared):
        own = plan.experiment.teachers[name]
        key = f"teachers.{name}" if {"updates", "epochs"} & own.keys() else "teacher"
        yield key, name, _length(plan.runs.teacher(name), _sum(words, plan.runs.taught(name)), STUDENTS)
    every = _sum(words, plan.runs.trained)
    yield "student", "", _length(plan.experiment.student, every, STUDENTS, plan.specs.updates_per_batch())


def _sum(words: Mapping[str, int], languages: Sequence[str]) -> int | None:
    """Return the words of some languages together; None where those of one are not known."""
    known = [words.get(language) for language in languages]
    return None if None in known else sum(number or 0 for number in known)


def _length(
    settings: Training, words: int | None, bounds: Mapping[str, Bounds], updates_per_batch: float = 1.0
) -> Length:
    updates = settings.updates
    if updates is None and words is not None:
        updates = math.ceil((settings.epochs or 1) * math.ceil(words / settings.batch_words) * updates_per_batch)
    return Length(updates, words, settings.batch_words, bounds[settings.mode])


def _warning(key: str, models: list[tuple[str, Length]]) -> str:
    languages, lengths = [language for language, _ in models if language], [length for _, length in models]
    who, result = "the students get", "they learn little"
    if languages:
        several = len(languages) > 1
        of = "" if key.startswith("teachers.") else "of "  # a teacher of several languages has a name of its own
        who = f"the teacher{'s' if several else ''} {of}{_listed(languages)} {'get' if several else 'gets'}"
        result = "students lose by what such a teacher teaches"
    updates = _range([length.updates or 0 for length in lengths], "update")
    words = [length.words for length in lengths if length.words is not None]
    text = f" for {_range(words, 'labelled word')}" if words else ""
    enough = max(length.enough for length in lengths)
    return f"warning: {who} {updates}{text}: {result}. Set `{key}.updates: {enough}` or more"


def _range(numbers: list[int], noun: str) -> str:
    least, most = min(numbers), max(numbers)
    return count(most, noun) if least == most else f"{least:,} to {count(most, noun)}"


def _listed(names: list[str]) -> str:
    return listed(names, MAX_NAMED) if len(names) > MAX_NAMED else series(names)
