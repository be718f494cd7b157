"""Which models an experiment trains and which languages each is tested on: one answer for rules and tables alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tagdistill.experiment.by_language import available_splits, shared_teacher_settings, teacher_settings
from tagdistill.experiment.mixture import Mixture
from tagdistill.settings.distill import OWN
from tagdistill.settings.experiment import TEACHERS_ON_ALL
from tagdistill.settings.language import CORPORA, SPLITS
from tagdistill.settings.training import SharedTeacherSettings

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
    """One trained model: a student (its objective) or a teacher (its language, or the name of one of several)."""

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
    text: bool = False  # zero-shot, but students may learn from unlabelled text of it

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
        self.shared = tuple(experiment.teachers)
        teachers = {
            **{language: teacher_settings(experiment, language) for language in self.trained},
            **{name: shared_teacher_settings(experiment, name) for name in self.shared},
        }
        self._teachers = {key: resolve(key, teacher) for key, teacher in teachers.items()} if resolve else teachers

    # -- languages and splits

    def splits(self, language: str) -> tuple[str, ...]:
        """Return the splits of a language that are read."""
        return self._splits[language]

    def with_split(self, split: str) -> tuple[str, ...]:
        """Return the trained languages that have a split."""
        return self._with_split[split]

    @cached_property
    def _with_split(self) -> dict[str, tuple[str, ...]]:  # every job of every language asks
        return {split: tuple(x for x in self.trained if split in self._splits[x]) for split in SPLITS}

    def corpora(self, language: str) -> tuple[str, ...]:
        """Return the splits of a language that students learn from."""
        return tuple(split for split in CORPORA if split in self._splits[language])

    @property
    def zero_shot_text(self) -> tuple[str, ...]:
        """The zero-shot languages whose unlabelled text teachers label."""
        return tuple(language for language in self.experiment.zero_shot if "unlabelled" in self._splits[language])

    def seen(self, objective: str, split: str) -> tuple[str, ...]:
        """Return the languages whose split the students of an objective learn from, or are chosen by."""
        if split != "unlabelled":
            return self.with_split(split)
        if not self.objective(objective).uses_unlabelled:
            return ()
        unseen = (language for language in self.zero_shot_text if self.mixture(objective, language))
        return (*self.with_split(split), *unseen)

    @cached_property
    def seen_by_students(self) -> list[tuple[str, str]]:
        """Language and split of all text that the students of some objective learn from, each once."""
        found = {(x, split) for name in self.objectives for split in CORPORA for x in self.seen(name, split)}
        return [(x, split) for x in self.languages for split in CORPORA if (x, split) in found]

    @cached_property
    def test_languages(self) -> list[TestLanguage]:
        """The languages that have a test set: trained ones, then zero-shot ones."""
        return [
            TestLanguage(
                key,
                "trained" if key in self.experiment.languages else "zero_shot",
                language.out_of_domain,
                language.leave_out,
                key in self.zero_shot_text,
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
        training = [(language, split) for language in self.languages for split in self.corpora(language)]
        return {"training": training, "tests": [(language, "test") for language in self.tested]}

    # -- models

    @property
    def teacher_decoders(self) -> tuple[Decoder, ...]:
        """The decoders of the teachers that the objectives need."""
        decoders = {self.objective(name).row.teacher_decoder for name in self.objectives}
        return tuple(sorted(decoder for decoder in decoders if decoder))

    def objective(self, name: str) -> ResolvedObjective:
        """Return an objective with all of its settings; its gate is "soft" or "off"."""
        return self._resolved[name]

    @cached_property
    def _resolved(self) -> dict[str, ResolvedObjective]:  # every text of every language asks
        distill = self.experiment.distill
        found = {name: distill.resolve(name) for name in self.objectives}
        for name, resolved in found.items():
            if resolved.gate == "auto":
                comparable = self.with_split("dev") and distill.first_with(resolved.row.reference) is not None
                found[name] = replace(resolved, gate="soft" if comparable else "off")
        return found

    def gated_by(self, name: str, seed: int) -> Model | None:
        """Return the student whose dev scores weigh the teachers of an objective's student; None: all weigh 1."""
        resolved = self.objective(name)
        if resolved.gate == "off":
            return None
        reference = self.experiment.distill.first_with(resolved.row.reference)
        return next(student for student in self.students if (student.objective, student.seed) == (reference, seed))

    def gated(self, name: str) -> dict[str, Mixture]:
        """Return the teachers of each language's text that are weighed for an objective; none where all weigh 1."""
        if self.objective(name).gate == "off":
            return {}
        languages = dict.fromkeys((*self.trained, *self.seen(name, "unlabelled")))
        return {language: mix for language in languages if (mix := self.mixture(name, language))}

    def teacher(self, name: str) -> TeacherSettings:
        """Return the settings of a teacher, by its language or name: the experiment's with its own on top."""
        return self._teachers[name]

    def taught(self, teacher: str) -> tuple[str, ...]:
        """Return the languages that a teacher is trained on, by its language or name."""
        settings = self._teachers[teacher]
        if not isinstance(settings, SharedTeacherSettings):
            return (teacher,)
        return self.trained if settings.languages == "all" else settings.languages

    def mixture(self, objective: str, language: str) -> Mixture | None:
        """Return the teachers of a language's text for an objective; None where none of them knows it.

        Text of zero-shot languages is taught by those that its `teachers` name, else by those of several languages.
        """
        weights, settings = self.objective(objective).teachers, self.languages[language]
        if not weights:
            return None
        if language not in self.trained:
            shared = {name: weight for name, weight in weights.items() if name != OWN}
            named = dict.fromkeys(settings.teachers, 1.0) if settings.teachers else shared
            return Mixture.of(named) if named else None
        known = {language if name == OWN else name: weight for name, weight in weights.items()}
        known = {name: weight for name, weight in known.items() if language in self.taught(name)}
        return Mixture.of(known) if known else None

    @cached_property
    def targets(self) -> list[tuple[Decoder, str, str, Mixture]]:
        """The texts that students learn from: decoder of their teachers, language, split, and teachers, each once."""
        found = []
        for name in self.objectives:
            if decoder := self.objective(name).row.teacher_decoder:
                pairs = [(x, split) for split in CORPORA for x in self.seen(name, split)]
                # An objective that reads no unlabelled text has targets of it all the same: another may read them.
                pairs += [(x, "unlabelled") for x in self.with_split("unlabelled")]
                found += [(decoder, *pair, mix) for pair in pairs if (mix := self.mixture(name, pair[0]))]
        return sorted(dict.fromkeys(found), key=self._place)

    def _place(self, targets: tuple[Decoder, str, str, Mixture]) -> tuple[Any, ...]:
        decoder, language, split, _ = targets
        return decoder, [*self.languages].index(language), CORPORA.index(split)

    @cached_property
    def scored(self) -> list[tuple[str, Decoder, str, str]]:
        """The texts that teachers score: teacher, decoder, language and split, each once."""
        found = [(x, decoder, language, split) for decoder, language, split, mix in self.targets for x in mix.teachers]
        return list(dict.fromkeys(found))

    def teacher_encoder(self, name: str) -> EncoderSettings:
        """Return the encoder of a teacher, by its language or name: its own, or the experiment's."""
        return self._teachers[name].encoder or self.experiment.encoder

    def stored(self, teacher: str | None = None) -> EncoderSettings | None:
        """Return what is stored of the encoder of a teacher, by its language or name (None: of students), if anything.

        These are the word vectors of a frozen encoder, or the states of the frozen layers of a fine-tuned one.
        """
        if teacher is None:
            return self.experiment.student.stored(self.experiment.encoder)
        return self._teachers[teacher].stored(self.teacher_encoder(teacher))

    def teaching_seed(self, name: str) -> int:
        """Return the seed of the teacher that teaches; the others show the spread over seeds."""
        return self._teachers[name].seeds[0]

    def folds(self, name: str, corpus: str) -> int:
        """Return by how many teachers, each without a part of it, a corpus is scored for a teacher; 0: by itself."""
        return self._teachers[name].folds if corpus == "train" else 0

    @cached_property
    def fold_teachers(self) -> list[tuple[str, Decoder, int, int]]:
        """The teachers without a fold of their text: name, decoder, seed and fold of each."""
        names = dict.fromkeys((name, decoder) for name, decoder, _, corpus in self.scored if corpus == "train")
        return [
            (name, decoder, self.teaching_seed(name), fold)
            for name, decoder in names
            for fold in range(self.folds(name, "train"))
        ]

    def own_text(self, model: Model) -> str | None:
        """Return the language of a teacher whose training text is scored: one that teaches, and is tested there."""
        own = model.teacher if model.teacher in self.trained else None
        teaches = own is not None and (own, model.decoder, own, "train") in self.scored
        teaches = teaches and own is not None and model.seed == self.teaching_seed(own)
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
        """The teachers that the objectives need: one for each decoder, language (or name) and seed."""
        needed = {(decoder, teacher) for teacher, decoder, *_ in self.scored}
        return [
            Model("teacher", f"teachers/{name}/{decoder}/seed-{seed}", decoder, seed, teacher=name)
            for decoder in self.teacher_decoders
            for name in (*self.trained, *self.shared)
            if (decoder, name) in needed
            for seed in self._teachers[name].seeds
        ]

    @cached_property
    def models(self) -> dict[str, Model]:
        """All models by name, students first."""
        return {model.name: model for model in [*self.students, *self.teachers]}

    # -- tests

    @cached_property
    def teachers_everywhere(self) -> bool:
        """Whether every teacher is tested on every language, and not on its own alone."""
        setting = self.experiment.evaluate.teachers
        return setting == "all" or (setting == "auto" and len(self.languages) <= TEACHERS_ON_ALL)

    def tests_of_teachers(self) -> tuple[str, ...]:
        """Return the languages that every teacher of one language is tested on; OWN_LANGUAGE stands for its own."""
        return self.tested if self.teachers_everywhere else (OWN_LANGUAGE,)

    def tests_of(self, model: Model) -> tuple[str, ...]:
        """Return the languages that a model is tested on."""
        if model.teacher not in self.trained or self.teachers_everywhere:  # students, teachers of several languages
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
                    own = model.teacher not in self.trained or model.teacher == test.language
                    yield model, test, own or not optional
