"""The specification of each job of an experiment, as a rule passes it on: exactly the settings that its result needs.

Settings that a job does not read stand at their defaults, and no path is in a specification: what is changed or moved
then runs the jobs again that depend on it, and no others.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.data.labels import label_list
from tagdistill.data.sources.source import load_source
from tagdistill.encoders.keys import encoder_key, feature_key
from tagdistill.encoders.vectors import vectors_key
from tagdistill.experiment.jobs import (
    EncodeJob,
    EvaluateJob,
    PrepareJob,
    StudentJob,
    TeacherJob,
    VectorsJob,
    write_job,
)
from tagdistill.settings.distill import Distill, ObjectiveSettings
from tagdistill.settings.encoder import EncoderSettings, Vectors, WordEncoder
from tagdistill.settings.export import Export
from tagdistill.settings.language import CORPORA, SPLITS, Language
from tagdistill.settings.training import SharedTeacherSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.experiment.runs import Runs
    from tagdistill.settings.base import Decode
    from tagdistill.settings.distill import ResolvedObjective
    from tagdistill.settings.training import Training

# Keys of a language that decide its labels or how it is shown, and none of its tokens.
LABEL_KEYS = {"label_map": {}, "scheme": "IOB2", "strict": False}
SHOWN_KEYS: dict[str, Any] = {"out_of_domain": False, "leave_out": None, "licence": None}


class JobSpecs:
    """The specifications of the jobs of one experiment, each as one line of JSON."""

    def __init__(self, runs: Runs) -> None:
        self.runs, self.experiment = runs, runs.experiment
        self.encoders = cache(self._encoders)
        self.labels = label_list(self.experiment.task, self.experiment.labels)

    # -- data

    def download(self, raw: str, asking: Iterable[tuple[str, str]]) -> str:
        """Return the job that fetches a file for some languages and splits; experiments share it."""
        pairs = list(asking)
        language, split = pairs[0]
        settings, part = self.runs.languages[language], self.runs.languages[language].part(split)
        known = {key: value for pair in pairs for key, value in self.runs.languages[pair[0]].sha256.items()}
        pinned = ("source", "treebank", "release", "dataset", "subset", "revision")
        plain = Language(
            **{name: getattr(settings, name) for name in pinned},
            code=load_source(settings.source).language_code(settings, language),
            sha256={key: value for key, value in known.items() if key in (part, "archive")},
        )
        name = Path(raw).parts[1]
        return write_job(PrepareJob(language=name, split=part, settings=plain, task="", labels="upos"))

    def prepare(self, language: str, split: str) -> str:
        """Return the job that reads one split into a corpus."""
        return write_job(self._prepare(language, split))

    def tokens(self, language: str, split: str) -> str:
        """Return the part of a `prepare` job that decides the tokens of a corpus, and none of its labels."""
        job = self._prepare(language, split)
        # What is a comment, and what is broken, may depend on the tag's column.
        by_tag = job.settings.comment or job.settings.broken != "refuse"
        columns = {key: value for key, value in job.settings.columns.items() if key != "tag" or by_tag}
        settings = job.settings.model_copy(update={**LABEL_KEYS, "names": (), "columns": columns})
        return write_job(job.model_copy(update={"settings": settings, "task": "", "labels": ()}))

    def _prepare(self, language: str, split: str) -> PrepareJob:
        settings = self.runs.languages[language]
        # What other stages read stays out: a change there must not prepare anything again.
        own: dict[str, Any] = {name: None for name in SPLITS if name != split}
        own |= {"teacher": {}, "teachers": None, "splits": None, "sha256": {}, **SHOWN_KEYS}
        if given := settings.given(split):
            own[split] = given.model_copy(update={"path": None})  # known by its checksum
        return PrepareJob(
            language=language,
            split=split,
            settings=Language.model_validate(settings.model_copy(update=own).model_dump()),
            task=self.experiment.task,
            labels=self.experiment.labels,
            limit=getattr(self.experiment.limit, split),
            without_tests_of=self.without_tests_of(language, split),
        )

    def without_tests_of(self, language: str, split: str) -> tuple[str, ...]:
        """Return the languages whose test sentences are left out of a split: of zero-shot text, in any case."""
        left_out = self.experiment.exclude_test_repeats or language in self.experiment.zero_shot
        return tuple(sorted(self.runs.tested)) if left_out and split in CORPORA else ()

    # -- encoders

    def _encoders(self) -> dict[str, EncoderSettings]:
        """Return the settings of every encoder, and of what is stored of it, by the key of its features."""
        named = (*self.runs.trained, *self.runs.shared)
        used = [self.experiment.encoder, *(self.runs.teacher_encoder(teacher) for teacher in named)]
        used += filter(None, map(self.runs.stored, (None, *named)))
        return {feature_key(encoder): encoder for encoder in used}

    def encoder_of_folder(self, key: str) -> EncoderSettings:
        """Return the settings of the encoder that is converted into `resources/encoders/KEY`."""
        return next(encoder for encoder in self.encoders().values() if encoder_key(encoder) == key)

    def convert_encoder(self, key: str) -> str:
        """Return the job that writes the folder `resources/encoders/KEY`."""
        encoder = self.encoder_of_folder(key)
        plain = EncoderSettings(provider=encoder.provider, id=encoder.id, revision=encoder.revision)
        return write_job(EncodeJob(encoder=plain))

    def encode(self, key: str) -> str:
        """Return the job that computes the features of that key."""
        return write_job(EncodeJob(encoder=_as_frozen(self.encoders()[key])))

    def vectors(self) -> dict[str, Vectors]:
        """Return the word vectors that teachers read, by the name of their folder."""
        used = (self.runs.teacher(language).vectors for language in self.runs.trained)
        return {vectors_key(vectors): vectors for vectors in used if vectors}

    def convert_vectors(self, key: str) -> str:
        """Return the job that writes the folder `resources/vectors/KEY`."""
        return write_job(VectorsJob(vectors=self.vectors()[key]))

    # -- models

    def teacher(self, name: str, decoder: str, seed: int, fold: int | None = None) -> str:
        """Return the job that trains a teacher, or one without a fold of its text.

        It holds nothing of languages that it is not trained on.
        """
        settings, languages = self.runs.teacher(name), self.runs.taught(name)
        encoder = _as_read(settings, self.runs.teacher_encoder(name))
        written: dict[str, Any] = {"seeds": (0,), "encoder": None, "vectors": None}
        written["folds"] = 0 if fold is None else settings.folds
        if isinstance(settings, SharedTeacherSettings):
            written["languages"] = "all"
        return write_job(
            TeacherJob(
                languages=languages,
                dev_languages=tuple(x for x in self.runs.with_split("dev") if x in languages),
                task=self.experiment.task,
                labels=self.labels,
                decoder=decoder,
                settings=settings.model_copy(update=written),
                encoder=WordEncoder(**encoder.model_dump(), vectors=settings.vectors),
                seed=seed,
                fold=fold,
                decode=self._decode_dev(languages),
                kernel=self.experiment.kernel,
            )
        )

    def updates_per_batch(self) -> float:
        """Return the updates of an epoch for each labelled batch: those of the objective with most unlabelled text.

        All objectives are trained for as many, so that they can be compared.
        """
        if self.experiment.student.epochs is None:
            return 1.0
        reading = [name for name in self.runs.objectives if self.runs.seen(name, "unlabelled")]
        return 1.0 + max((self.runs.objective(name).unlabelled_ratio for name in reading), default=0.0)

    def _decode_dev(self, languages: Iterable[str]) -> Decode:
        """Return how dev is decoded to choose a model: as the test sets are, where that makes a difference."""
        scored = set(self.runs.with_split("dev")) & set(languages)
        return self.experiment.decode if scored else "unconstrained"

    def student(self, objective: str, seed: int) -> str:
        """Return the job that trains a student."""
        resolved, unlabelled = self.runs.objective(objective), self.runs.seen(objective, "unlabelled")
        gated = self.runs.gated(objective)
        return write_job(
            StudentJob(
                languages=self.runs.trained,
                dev_languages=self.runs.with_split("dev"),
                unlabelled_languages=unlabelled,
                task=self.experiment.task,
                labels=self.labels,
                decoder=resolved.row.decoder,
                objective=objective,
                settings=self.experiment.student,
                distill=_as_distilled(resolved, unlabelled=bool(unlabelled)),
                shares=self._shares(objective) if "scores" in resolved.row.needs else {},
                gated={x: dict(zip(mix.teachers, mix.shares, strict=True)) for x, mix in gated.items()},
                updates_per_batch=self.updates_per_batch(),
                encoder=_as_read(self.experiment.student, self.experiment.encoder),
                seed=seed,
                decode=self._decode_dev(self.runs.trained),
                kernel=self.experiment.kernel,
            )
        )

    def _shares(self, objective: str) -> dict[str, tuple[float, ...]]:
        """Return the weights of the teachers of each language that has several."""
        texts = dict.fromkeys(x for split in CORPORA for x in self.runs.seen(objective, split))
        mixtures = {language: self.runs.mixture(objective, language) for language in texts}
        return {language: mix.shares for language, mix in mixtures.items() if mix and len(mix.weights) > 1}

    def evaluate(self, model: str) -> str:
        """Return the job that scores a model, given by its name."""
        planned = self.runs.models[model]
        languages = self.runs.tests_of(planned)
        return write_job(
            EvaluateJob(
                model=model,
                languages=languages,
                zero_shot=tuple(name for name in languages if name not in self.runs.trained),
                own=self.runs.own_text(planned),
                decode=self.experiment.decode,
                kernel=self.experiment.kernel,
            )
        )

    def export(self) -> str:
        """Return the settings of an exported student."""
        return write_job(self.experiment.export)

    def report(self) -> str:
        """Return the settings that the report is made from: the experiment's, without the places of files."""
        groups: dict[str, dict[str, Language]] = {}
        for name in ("languages", "zero_shot"):
            listed: dict[str, Language] = getattr(self.experiment, name)
            groups[name] = {key: _without_paths(language) for key, language in listed.items()}
        unread = {"root": ".", "export": Export.model_validate({})}
        return self.experiment.model_copy(update={**unread, **groups}).model_dump_json()


def _without_paths(language: Language) -> Language:
    given = {split: language.given(split) for split in SPLITS}
    return language.model_copy(
        update={name: split.model_copy(update={"path": None}) for name, split in given.items() if split}
    )


def _as_frozen(encoder: EncoderSettings) -> EncoderSettings:
    plain = EncoderSettings.model_validate({})
    return encoder.model_copy(update={"layers": plain.layers, "freeze_embeddings": plain.freeze_embeddings})


def _as_read(settings: Training, encoder: EncoderSettings) -> EncoderSettings:
    """Return the encoder settings with those that this mode does not read at their defaults."""
    if settings.mode == "frozen":
        return _as_frozen(encoder)
    return encoder.tuned_from(settings.tune_from) if encoder.mixed else encoder.model_copy(update={"tap": 6})


def _as_distilled(objective: ResolvedObjective, *, unlabelled: bool) -> Distill:
    """Return the settings of one objective alone, with those that it does not read at their defaults."""
    plain, row = Distill.model_validate({}), objective.row
    named = objective.name == row.name and objective.k is None
    own = row.name if named else ObjectiveSettings(name=objective.name, loss=row.name, k=objective.k)
    return plain.model_copy(
        update={
            "objectives": (own,),  # `k` of the experiment is that of the targets, which hold it
            "temperature": objective.temperature if row.tempered else plain.temperature,
            "anneal": objective.anneal if row.needs else plain.anneal,
            "unlabelled_ratio": objective.unlabelled_ratio if unlabelled else plain.unlabelled_ratio,
            "gate": objective.gate,
            "teachers": objective.teachers if row.needs else plain.teachers,
        }
    )
