"""Which models an experiment trains and which languages each is tested on: one answer for rules and tables alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from tagdistill.experiment.by_language import available_splits, teacher_settings
from tagdistill.settings.experiment import TEACHERS_ON_ALL
from tagdistill.settings.language import CORPORA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tagdistill.settings.base import Decoder
    from tagdistill.settings.distill import ResolvedObjective
    from tagdistill.settings.encoder import EncoderSettings
    from tagdistill.settings.experiment import Experiment
    from tagdistill.settings.language import Language
    from tagdistill.settings.training import TeacherSettings

Role = Literal["trained", "zero_shot"]
OWN_LANGUAGE = "{lang}"  # in the name of a rule's files: the language of the teacher itself


@dataclass(frozen=True)
class Model:
    """One trained model: a student (its objective) or a teacher (its language)."""

    kind: Literal["student", "teacher"]
    name: str  # its folder below results/NAME, and below predictions/ and metrics/
    decoder: Decoder
    seed: int
    objective: str | None = None
    teacher: str | None = None


@dataclass(frozen=True)
class TestLanguage:
    """One language that models are tested on."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    language: str
    role: Role
    out_of_domain: bool
    leave_out: str | None

    @property
    def averaged(self) -> bool:
        """Whether the averages of a report include this language."""
        return self.leave_out is None


class Runs:
    """The languages, models and tests of one experiment, in the order of its config."""

    def __init__(
        self, experiment: Experiment, resolve: Callable[[str, TeacherSettings], TeacherSettings] | None = None
    ) -> None:
        """Take the settings; `resolve` may name a language's own encoder and word vectors by their content."""
        self.experiment = experiment
        self.languages: dict[str, Language] = {**experiment.languages, **experiment.zero_shot}
        self.trained = tuple(experiment.languages)
        self.objectives = experiment.distill.names
        self._splits = {
            key: available_splits(key, language, trained=key in experiment.languages)
            for key, language in self.languages.items()
        }
        teachers = {language: teacher_settings(experiment, language) for language in self.trained}
        self._teachers = {key: resolve(key, teacher) for key, teacher in teachers.items()} if resolve else teachers

    # -- languages and splits

    def splits(self, language: str) -> tuple[str, ...]:
        """Return the splits of a language that are read."""
        return self._splits[language]

    def with_split(self, split: str) -> tuple[str, ...]:
        """Return the trained languages that have a split."""
        return tuple(language for language in self.trained if split in self._splits[language])

    def corpora(self, language: str) -> tuple[str, ...]:
        """Return the splits of a language that its teacher scores."""
        return tuple(split for split in CORPORA if split in self._splits[language])

    @cached_property
    def test_languages(self) -> list[TestLanguage]:
        """The languages that have a test set: trained ones, then zero-shot ones."""
        return [
            TestLanguage(
                key,
                "trained" if key in self.experiment.languages else "zero_shot",
                language.out_of_domain,
                language.leave_out,
            )
            for key, language in self.languages.items()
            if "test" in self._splits[key]
        ]

    @cached_property
    def tested(self) -> tuple[str, ...]:
        """The keys of the languages that have a test set."""
        return tuple(test.language for test in self.test_languages)

    def exported_texts(self) -> dict[str, list[tuple[str, str]]]:
        """Return language and split of the text that exported graphs are made for and compared on, if there are any."""
        if self.experiment.export.formats == ("torch",):
            return {}
        training = [(language, split) for language in self.trained for split in self.corpora(language)]
        return {"training": training, "tests": [(language, "test") for language in self.tested]}

    # -- models

    @property
    def teacher_decoders(self) -> tuple[Decoder, ...]:
        """The decoders of the teachers that the objectives need."""
        decoders = {self.objective(name).row.teacher_decoder for name in self.objectives}
        return tuple(sorted(decoder for decoder in decoders if decoder))

    def objective(self, name: str) -> ResolvedObjective:
        """Return an objective with all of its settings."""
        return self.experiment.distill.resolve(name)

    def gated_by(self, name: str, seed: int) -> Model | None:
        """Return the student whose dev scores weigh the teachers of an objective's student; None: all weigh 1."""
        resolved = self.objective(name)
        if resolved.gate == "off":
            return None
        reference = self.experiment.distill.first_with(resolved.row.reference)
        return next(student for student in self.students if (student.objective, student.seed) == (reference, seed))

    def teacher(self, language: str) -> TeacherSettings:
        """Return the settings of the teacher of a language: the experiment's with the language's own on top."""
        return self._teachers[language]

    def teacher_encoder(self, language: str) -> EncoderSettings:
        """Return the encoder of the teacher of a language: its own, or the experiment's."""
        return self._teachers[language].encoder or self.experiment.encoder

    def teaching_seed(self, language: str) -> int:
        """Return the seed of the teacher that teaches; the others show the spread over seeds."""
        return self._teachers[language].seeds[0]

    def own_text(self, model: Model) -> str | None:
        """Return the language of a teacher whose training text is scored: one that teaches, and is tested there."""
        own = model.teacher
        teaches = own is not None and model.seed == self.teaching_seed(own)
        return own if teaches and own in self.tests_of(model) else None

    @cached_property
    def students(self) -> list[Model]:
        """The students: one for each objective and seed."""
        return [
            Model("student", f"students/{name}/seed-{seed}", self.objective(name).row.decoder, seed, objective=name)
            for name in self.objectives
            for seed in self.experiment.seeds
        ]

    @cached_property
    def teachers(self) -> list[Model]:
        """The teachers that the objectives need: one for each decoder, language and seed."""
        return [
            Model("teacher", f"teachers/{language}/{decoder}/seed-{seed}", decoder, seed, teacher=language)
            for decoder in self.teacher_decoders
            for language in self.trained
            for seed in self._teachers[language].seeds
        ]

    @cached_property
    def models(self) -> dict[str, Model]:
        """All models by name, students first."""
        return {model.name: model for model in [*self.students, *self.teachers]}

    # -- tests

    @property
    def teachers_everywhere(self) -> bool:
        """Whether every teacher is tested on every language, and not on its own alone."""
        setting = self.experiment.evaluate.teachers
        return setting == "all" or (setting == "auto" and len(self.languages) <= TEACHERS_ON_ALL)

    def tests_of_teachers(self) -> tuple[str, ...]:
        """Return the languages that every teacher is tested on; OWN_LANGUAGE stands for its own alone."""
        return self.tested if self.teachers_everywhere else (OWN_LANGUAGE,)

    def tests_of(self, model: Model) -> tuple[str, ...]:
        """Return the languages that a model is tested on."""
        if model.teacher is None or self.teachers_everywhere:
            return self.tested
        return (model.teacher,) if model.teacher in self.tested else ()

    def tests(self) -> Iterator[tuple[Model, TestLanguage, bool]]:
        """Yield each model with each language it is tested on, teachers first, and whether its metrics must be there.

        With `teachers: auto` a teacher's metrics on another language may be missing: a larger experiment has none.
        """
        optional = self.experiment.evaluate.teachers == "auto"
        for model in [*self.teachers, *self.students]:
            languages = self.tests_of(model)
            for test in self.test_languages:
                if test.language in languages:
                    own = model.teacher in (None, test.language)
                    yield model, test, own or not optional
