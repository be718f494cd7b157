"""Analysis of the scores of an experiment: averages, the gap to the teachers, and which differences are clear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from tagdistill.evaluation.bootstrap import DRAWS, Bootstrap, same_sentences
from tagdistill.evaluation.significance import Interval, Score, closed, corrected, difference, mean_and_sd
from tagdistill.experiment.mixture import named
from tagdistill.experiment.runs import Runs, TestLanguage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tagdistill.data.span_counts import Counts
    from tagdistill.evaluation.scores import Results


@dataclass(frozen=True)
class Group:
    """Languages that are averaged together: macro, each weighing the same."""

    key: str
    title: str
    role: str
    languages: tuple[str, ...]


@dataclass(frozen=True)
class System:
    """A row of a table: `models[language]` maps a run (a seed) to the model that is scored there."""

    key: str
    title: str
    kind: str  # student, teacher (each language's own, or one of several languages), oracle, mean
    models: Mapping[str, Mapping[object, str]]
    notes: Mapping[str, str]  # [language], such as the teacher that an oracle chose

    def names(self, language: str) -> list[str]:
        """Return the models that are scored in a language."""
        return list(self.models.get(language, {}).values())


@dataclass(frozen=True)
class Value:
    """A mean over seeds with its sample standard deviation (None with one seed)."""

    mean: float
    sd: float | None
    runs: int


@dataclass(frozen=True)
class Gap:
    """The part of the gap between reference and teachers that an objective closes, in a language or on average.

    The teachers are those that taught, taken as given; where a language has several, the score is their mean.
    """

    objective: str
    reference: str
    decoder: str  # of the teachers
    taught_by: str  # their names, with weights
    language: str  # "" for the average
    languages: int  # that the numbers are averaged over
    teachers: float
    baseline: float
    student: float
    gap: Interval
    closed: Interval | None  # per cent; None unless the teachers are clearly better, and the share has an interval

    @property
    def verdict(self) -> str:
        """The result in words, where there is no share."""
        if self.closed:
            return ""
        if self.gap.too_few:
            return "too few test sentences"
        return "share not determined" if self.gap.above_zero else "no gap to close"


@dataclass(frozen=True)
class Comparison:
    """One system against its reference on one group of languages."""

    system: str
    title: str
    reference: str
    group: str
    difference: Interval
    languages: int
    up: int  # languages where the mean is higher
    runs: int  # seeds that all languages have
    reference_runs: int
    left_out: tuple[str, ...]  # languages of the group that one of the two lacks

    @property
    def verdict(self) -> str:
        """The result in words, corrected for all comparisons of the experiment."""
        return self.difference.verdict


class Analysis:
    """Averages, gaps and comparisons of one experiment's results; every number is computed on demand."""

    def __init__(self, results: Results, *, draws: int = DRAWS, seed: int = 0) -> None:
        self.results, self.draws, self.seed = results, draws, seed
        corpora = results.main.set_index("language")["corpus_sha256"].to_dict()
        self.bootstrap = Bootstrap(_compared(results), corpora=corpora, draws=draws, seed=seed)
        self._value = results.main.set_index(["model", "language"])["value"].to_dict()
        self.runs = Runs(results.experiment)
        self.targets = self.runs.test_languages
        self.groups = _groups(self.targets)
        self.distill = results.experiment.distill
        self.students = [self._student(name) for name in self.distill.names]

    def target(self, language: str) -> TestLanguage:
        """Return the test set of a language."""
        return next(t for t in self.targets if t.language == language)

    def languages(self, role: str) -> list[str]:
        """Return the languages with a role: trained or zero_shot."""
        return [t.language for t in self.targets if t.role == role]

    def student(self, objective: str) -> System | None:
        """Return the students of an objective, or None where the experiment has none."""
        return next((s for s in self.students if s.key == objective), None)

    def _reference(self, objective: str) -> System | None:
        """Return the students without teachers that those of an objective are compared with, or None."""
        return self._first_of(self.distill.resolve(objective).row.reference)

    def reference_of_teachers(self, decoder: str) -> System | None:
        """Return the students without teachers that the teachers are compared with, or None."""
        return self._first_of("softmax" if decoder == "softmax" else "baseline")

    def _first_of(self, loss: str) -> System | None:
        """Return the students of the first objective with a loss: those of its own name, if there are any."""
        name = self.distill.first_with(loss)
        return None if name is None else self.student(name)

    def teachers(self, decoder: str) -> System:
        """Return each language's own teacher."""
        frame = self.results.main
        rows = frame[(frame["kind"] == "teacher") & (frame["decoder"] == decoder)]
        own = rows[rows["teacher"] == rows["language"]]
        return System(f"teachers ({decoder})", f"Teachers{self._suffix(decoder)}", "teacher", _by_language(own), {})

    def shared_teachers(self, decoder: str) -> list[System]:
        """Return each teacher of several languages, on all languages."""
        frame = self.results.main
        rows = frame[(frame["kind"] == "teacher") & (frame["decoder"] == decoder)]
        found = [(name, _by_language(rows[rows["teacher"] == name])) for name in self.runs.shared]
        suffix = self._suffix(decoder)
        return [
            System(f"teacher {name} ({decoder})", f"Teacher {name}{suffix}", "teacher", models, {})
            for name, models in found
            if any(model.teacher == name and model.decoder == decoder for model in self.runs.teachers)
        ]

    def own_and_shared(self, decoder: str) -> list[System]:
        """Return the teachers as systems: those of one language each, if there are any, and each of several."""
        own = any(model.teacher in self.runs.trained and model.decoder == decoder for model in self.runs.teachers)
        return [*([self.teachers(decoder)] if own else []), *self.shared_teachers(decoder)]

    def taught_by(self, objective: str) -> System:
        """Return the teachers of an objective, of the seeds that taught: of a language all that know it."""
        decoder = str(self.distill.resolve(objective).row.teacher_decoder)
        rows = self.results.main[self.results.main["decoder"] == decoder]
        there = {(row.teacher, row.seed, row.language): row.model for row in rows.itertuples()}
        models: dict[str, dict[object, str]] = {}
        for language in self.runs.trained:
            mixture = self.runs.mixture(objective, language)
            for number, name in enumerate(mixture.teachers if mixture else ()):
                if model := there.get((name, self.runs.teaching_seed(name), language)):
                    models.setdefault(language, {})[number] = model
        return System(f"teachers of {objective}", f"Teachers of {objective}", "teacher", models, {})

    @property
    def decoders(self) -> list[str]:
        """The decoders of the teachers that the objectives learn from."""
        used = {self.distill.resolve(name).row.teacher_decoder for name in self.distill.names}
        return [decoder for decoder in ("crf", "softmax") if decoder in used]

    def abroad(self, decoder: str) -> list[System]:
        """Return the zero-shot rows of the teachers: the best one per language (chosen on test), the mean."""
        frame = self.results.main
        rows = frame[(frame["kind"] == "teacher") & (frame["decoder"] == decoder) & (frame["role"] == "zero_shot")]
        rows = rows[rows["teacher"].isin(self.runs.trained)]
        means = rows.groupby(["language", "teacher"], sort=True)["value"].mean()
        best = {language: group.idxmax()[1] for language, group in means.groupby(level="language", sort=True)}
        chosen = rows[rows["teacher"] == rows["language"].map(best)]
        every: dict[str, dict[object, str]] = {}
        for row in rows.itertuples():
            every.setdefault(row.language, {})[row.teacher, row.seed] = row.model
        name = self._suffix(decoder)
        title = f"Best single teacher, chosen on test{name}"
        return [
            System(f"oracle ({decoder})", title, "oracle", _by_language(chosen), best),
            System(f"mean ({decoder})", f"Mean of the teachers{name}", "mean", every, {}),
        ]

    def score(self, model: str, language: str) -> float:
        """Return the main score of one model in one language."""
        return float(self._value[model, language])

    def is_scored(self, model: str, language: str) -> bool:
        """Return whether a model was scored in a language."""
        return (model, language) in self._value

    def value(self, system: System, language: str) -> Value | None:
        """Return the mean over seeds in one language, or None if there is no run."""
        values = [self._value[name, language] for name in system.names(language)]
        return self._summary(system, values) if values else None

    def average(self, system: System, group: Group) -> Value | None:
        """Return the macro average; None unless the system has every language of the group that any model has.

        The spread is that of the averages of single seeds, not the average of the spreads.
        """
        languages = [language for language in group.languages if language in self.results.counts]
        means = [self.value(system, language) for language in languages]
        if not means or any(mean is None for mean in means):
            return None
        averages = list(self.averages(system, group).values())
        spread = self._summary(system, averages).sd if averages else None
        return Value(fmean(mean.mean for mean in means if mean), spread, len(averages))

    def averages(self, system: System, group: Group) -> dict[object, float]:
        """Return the macro average of each run (seed) that was scored on all languages of the group."""
        return self._runs(system, [language for language in group.languages if language in self.results.counts])

    def _runs(self, system: System, languages: Sequence[str]) -> dict[object, float]:
        runs = set.intersection(*(set(system.models.get(language, {})) for language in languages)) if languages else ()
        return {
            run: fmean(self._value[system.models[language][run], language] for language in languages)
            for run in sorted(runs, key=str)
        }

    def matrix(self, decoder: str) -> dict[str, dict[str, float]]:
        """Return the mean score of every teacher on every language it was tested on: [teacher][language]."""
        frame = self.results.main
        rows = frame[(frame["kind"] == "teacher") & (frame["decoder"] == decoder)]
        found: dict[str, dict[str, float]] = {}
        for (teacher, language), value in rows.groupby(["teacher", "language"], sort=False)["value"].mean().items():
            found.setdefault(teacher, {})[language] = float(value)
        return found

    @cached_property
    def gaps(self) -> list[Gap]:
        """Return gap and share closed: for each objective that has teachers, in each language and on average."""
        found = []
        for system in self.students:
            decoder = self.distill.resolve(system.key).row.teacher_decoder
            baseline = self._reference(system.key)
            if decoder is None or baseline is None:
                continue
            teachers = self.taught_by(system.key)
            for group in self.groups:
                if group.key == "in_language":
                    shared, _ = _shared(group.languages, system, teachers, baseline)
                    found += self._gap(system, teachers, baseline, decoder, "", shared)
            for language in self.languages("trained"):
                shared, _ = _shared([language], system, teachers, baseline)
                found += self._gap(system, teachers, baseline, decoder, language, shared)
        return found

    def _gap(
        self, student: System, teachers: System, baseline: System, decoder: str, language: str, over: Sequence[str]
    ) -> list[Gap]:
        if not over:
            return []
        top = replace(self._score(teachers, over), given=True)
        bottom, ours = self._score(baseline, over), self._score(student, over)
        return [
            Gap(
                objective=student.key,
                reference=baseline.key,
                decoder=decoder,
                taught_by=named(self.distill.resolve(student.key).teachers),
                language=language,
                languages=len(over),
                teachers=float(top.draws[0]),
                baseline=float(bottom.draws[0]),
                student=float(ours.draws[0]),
                gap=difference(top, bottom),
                closed=closed(ours, bottom, top),
            )
        ]

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Return every objective and the teachers against their reference, for each group of languages."""
        references = {s.key: self._reference(s.key) for s in self.students}
        pairs = [(s, references[s.key]) for s in self.students if s is not references[s.key]]
        found = []
        for group in self.groups:
            for system, reference in [*self._teachers_compared(group), *pairs]:
                found += self._compare(system, reference, group) if reference else []
        family = corrected([comparison.difference for comparison in found])
        return [replace(comparison, difference=test) for comparison, test in zip(found, family, strict=True)]

    def _teachers_compared(self, group: Group) -> list[tuple[System, System | None]]:
        """Return the teachers that are compared on a group: those of one language each on trained ones alone."""
        of = self.own_and_shared if group.role == "trained" else self.shared_teachers
        return [(system, self.reference_of_teachers(decoder)) for decoder in self.decoders for system in of(decoder)]

    def _compare(self, system: System, reference: System, group: Group) -> list[Comparison]:
        over, left_out = _shared(group.languages, system, reference)
        if not over:
            return []
        pairs = [(self.value(system, language), self.value(reference, language)) for language in over]
        up = sum(ours.mean > theirs.mean for ours, theirs in pairs if ours and theirs)
        ours, theirs = self._score(system, over), self._score(reference, over)
        return [
            Comparison(
                system=system.key,
                title=system.title,
                reference=reference.key,
                group=group.key,
                difference=difference(ours, theirs),
                languages=len(over),
                up=up,
                runs=len(ours.seeds),
                reference_runs=len(theirs.seeds),
                left_out=left_out,
            )
        ]

    def _score(self, system: System, languages: Sequence[str]) -> Score:
        draws = self.bootstrap.macro({language: system.names(language) for language in languages})
        seeds = tuple(self._runs(system, languages).values())
        return Score(draws, seeds, sentences=self.bootstrap.fewest(languages))

    def _student(self, objective: str) -> System:
        frame = self.results.main
        rows = frame[(frame["kind"] == "student") & (frame["objective"] == objective)]
        return System(objective, objective, "student", _by_language(rows), {})

    def _suffix(self, decoder: str) -> str:
        return f" ({decoder})" if len(self.decoders) > 1 else ""

    @staticmethod
    def _summary(system: System, values: Sequence[float]) -> Value:
        mean, sd = mean_and_sd(values)
        alone = len(values) < 2 or system.kind == "mean"  # a mean over teachers is no mean over seeds
        return Value(mean, None if alone else sd, len(values))


def _by_language(rows) -> dict[str, dict[object, str]]:  # type: ignore[no-untyped-def]
    found: dict[str, dict[object, str]] = {}
    for row in rows.itertuples():
        found.setdefault(row.language, {})[row.seed] = row.model
    return found


def _compared(results: Results) -> dict[str, dict[str, Counts]]:
    """Return the counts of the students, of each language's own teachers and of those of several languages.

    No other model is compared.
    """
    for language, models in results.counts.items():
        same_sentences(models, language)
    rows = results.main
    shared = rows["teacher"].isin(list(results.experiment.teachers))
    rows = rows[(rows["kind"] == "student") | (rows["teacher"] == rows["language"]) | shared]
    found: dict[str, dict[str, Counts]] = {}
    for model, language in zip(rows["model"], rows["language"], strict=True):
        found.setdefault(language, {})[model] = results.counts[language][model]
    return found


def _groups(found: Sequence[TestLanguage]) -> list[Group]:
    """Return the groups that have languages: in or out of domain, without those that are left out of averages."""
    names = {"trained": ("in_language", "In-language"), "zero_shot": ("zero_shot", "Zero-shot")}
    groups = []
    for role, (key, title) in names.items():
        for out_of_domain in (False, True):
            languages = tuple(
                t.language for t in found if t.role == role and t.out_of_domain == out_of_domain and t.averaged
            )
            ending = ("_out_of_domain", ", out of domain") if out_of_domain else ("", "")
            if languages:
                groups.append(Group(key + ending[0], title + ending[1], role, languages))
    return groups


def _shared(languages: Sequence[str], *systems: System) -> tuple[list[str], tuple[str, ...]]:
    there = [language for language in languages if all(system.names(language) for system in systems)]
    return there, tuple(language for language in languages if language not in there)
