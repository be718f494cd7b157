"""What each result is known by: its job's settings and code, and the keys of all that the job reads.

Two runs with the same key give the same bytes. No path is part of a key, only content: data or an encoder that was
moved, or made again, is the same. A result lies below its key (`layout.shared`), so that every experiment that means
the same finds it, and a result that is there is up to date, whatever became of the files that it was made from.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.code_key import code_key
from tagdistill.artifacts.files import sha256_json
from tagdistill.encoders.keys import encoder_key, feature_key
from tagdistill.encoders.vectors import vectors_key
from tagdistill.experiment.layout import KEY_DIGITS
from tagdistill.settings.language import CORPORA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.experiment.job_specs import JobSpecs
    from tagdistill.experiment.local_files import LocalFiles
    from tagdistill.experiment.mixture import Mixture
    from tagdistill.experiment.stage_modules import StageModules
    from tagdistill.settings.encoder import EncoderSettings, Vectors
    from tagdistill.settings.training import Training


class JobKeys:
    """The keys of the results of one experiment.

    `made` holds, for each key that was asked for, what is the job's own in it: settings, code, the checksum of data.
    """

    def __init__(self, specs: JobSpecs, modules: StageModules, local: LocalFiles) -> None:
        self.specs, self.modules, self.local = specs, modules, local
        self.runs, self.experiment = specs.runs, specs.experiment
        self.made: dict[str, tuple[str, ...]] = {}
        # The same keys are asked for by every job downstream.
        self.corpus, self.text = cache(self._corpus), cache(self._text)
        self.data_report, self.repeats = cache(self._data_report), cache(self._repeats)
        self.features, self.teacher, self.scores = cache(self._features), cache(self._teacher), cache(self._scores)
        self.stores = cache(self._stores)
        self.targets, self.student = cache(self._targets), cache(self._student)
        self.evaluation = cache(self._evaluation)

    def _key(self, own: Iterable[str | None], *read: Any) -> str:
        """Return a key, and remember what is the job's own in it; `read` is what its inputs are known by."""
        parts = tuple(part for part in own if part is not None)
        key = _hash(parts, read)
        self.made[key] = parts
        return key

    def _corpus(self, language: str, split: str) -> str:
        """Return the key of a corpus."""
        own = self.specs.prepare(language, split), *self._read_from(language, split)
        return self._key(own, self._left_out(language, split))

    def _text(self, language: str, split: str) -> str:
        """Return the key of the tokens of a corpus, whatever its labels are."""
        return self._key(self._own_text(language, split), self._left_out(language, split))

    def _own_text(self, language: str, split: str) -> tuple[str | None, ...]:
        return self.specs.tokens(language, split), *self._read_from(language, split)

    def _read_from(self, language: str, split: str) -> tuple[str, str | None]:
        """Return the code that reads a split, and the checksum of its file."""
        sha256 = self.local.raw_sha256(self.runs.languages[language], split)
        return code_key(*self.modules.prepare(language, split)), sha256

    def _left_out(self, language: str, split: str) -> list[str]:
        """Return the keys of the test sets whose sentences a split does not hold."""
        return [self.text(tested, "test") for tested in self.specs.without_tests_of(language, split)]

    def _data_report(self, language: str) -> str:
        """Return the key of a data report."""
        corpora = [self.corpus(language, split) for split in self.runs.splits(language)]
        return self._key([code_key(*self.modules.data_report())], corpora)

    def _repeats(self) -> str:
        """Return the key of the repeats of all test sets."""
        read = [*self.runs.seen_by_students, *((language, "test") for language in self.runs.tested)]
        return self._key([code_key(*self.modules.repeats())], [self.text(*pair) for pair in read])

    def encoder(self, encoder: EncoderSettings) -> str:
        """Return the key of a converted encoder."""
        return _hash(encoder_key(encoder), code_key(*self.modules.convert_encoder(encoder)))

    def vectors(self, vectors: Vectors) -> str:
        """Return the key of converted word vectors."""
        return _hash(vectors_key(vectors), code_key(*self.modules.convert_vectors()))

    def _features(self, features: str, language: str, split: str) -> str:
        """Return the key of a feature store, given the key of its encoder and layers."""
        encoder = self.specs.encoders()[features]
        own = self.specs.encode(features), code_key(*self.modules.encode(encoder)), *self._own_text(language, split)
        return self._key(own, self.encoder(encoder), self._left_out(language, split))

    def _stores(self, features: str, language: str, splits: tuple[str, ...]) -> str:
        """Return the key of a language's feature stores together, in which one job makes them.

        What reads a store is known by the key of that store alone: it is the same in every folder.
        """
        encoder = self.specs.encoders()[features]
        texts = [part for split in splits for part in self._own_text(language, split)]
        own = self.specs.encode(features), code_key(*self.modules.encode(encoder)), *dict.fromkeys(texts)
        return self._key(own, splits, [self.features(features, language, split) for split in splits])

    def _teacher(self, name: str, decoder: str, seed: int, fold: int | None = None) -> str:
        """Return the key of a teacher, or of one without a fold of its text."""
        pairs = [
            (x, split) for split in ("train", "dev") for x in self.runs.taught(name) if split in self.runs.splits(x)
        ]
        code = code_key(*self.modules.teacher(name, fold=fold is not None))
        own = self.specs.teacher(name, decoder, seed, fold), code
        return self._key(own, self._read_by_teacher(name, pairs))

    def _scores(self, name: str, decoder: str, seed: int, language: str, corpus: str) -> str:
        """Return the key of the scores of a teacher on one corpus."""
        read = self._read_by_teacher(name, [(language, corpus)])
        folds = [self.teacher(name, decoder, seed, fold) for fold in range(self.runs.folds(name, corpus))]
        code = code_key(*self.modules.score(name, corpus))
        return self._key([code], self.teacher(name, decoder, seed), read, *([folds] if folds else []))

    def _targets(self, language: str, decoder: str, corpus: str, mixture: Mixture) -> str:
        """Return the key of the targets of one corpus."""
        seed = self.runs.teaching_seed
        scores = [self.scores(x, decoder, seed(x), language, corpus) for x in mixture.teachers]
        weights = write_weights(mixture)
        own = str(self.experiment.distill.k), self.experiment.kernel, code_key(*self.modules.targets(mixture)), weights
        return self._key(own, *scores)

    def _student(self, objective: str, seed: int) -> str:
        """Return the key of a student."""
        resolved = self.runs.objective(objective)
        row = resolved.row
        splits = ("train", "dev", "unlabelled")
        pairs = [(language, split) for split in splits for language in self.runs.seen(objective, split)]
        decoder, seeds = str(row.teacher_decoder), self.runs.teaching_seed
        mixed = [(*pair, self.runs.mixture(objective, pair[0])) for pair in pairs if pair[1] in CORPORA]
        taught = [(language, split, mix) for language, split, mix in mixed if mix]
        targets = [self.targets(x, decoder, split, mix) for x, split, mix in taught if "targets" in row.needs]
        scores = [
            self.scores(teacher, decoder, seeds(teacher), language, split)
            for language, split, mix in taught
            if "scores" in row.needs
            for teacher in mix.teachers
        ]
        baseline = self.runs.gated_by(objective, seed)
        gate = [self.student(str(baseline.objective), seed)] if baseline else []  # and teachers, by what they taught
        own = self.specs.student(objective, seed), code_key(*self.modules.student(objective))
        return self._key(own, self._read_by_student(pairs), targets, scores, *gate)

    def _evaluation(self, name: str) -> str:
        """Return the key of the scores of a model, given by its name."""
        model = self.runs.models[name]
        pairs = [(language, "test") for language in self.runs.tests_of(model)]
        if model.teacher is None:
            read = [self.student(str(model.objective), model.seed), self._read_by_student(pairs)]
        else:
            key = self.teacher(model.teacher, model.decoder, model.seed)
            read = [key, self._read_by_teacher(model.teacher, pairs)]
            if own := self.runs.own_text(model):
                read += [self.corpus(own, "train"), self.scores(own, model.decoder, model.seed, own, "train")]
        return self._key([self.specs.evaluate(name), code_key(*self.modules.evaluate(name))], read)

    def report(self) -> str:
        """Return the key of the report."""
        evaluations = [self.evaluation(name) for name in self.runs.models]
        data = [self.data_report(language) for language in self.runs.languages]
        encoder = encoder_key(self.experiment.encoder)
        own = self.specs.report(), code_key(*self.modules.report())
        return self._key(own, evaluations, data, self.repeats(), encoder)

    def export(self, objective: str, seed: int) -> str:
        """Return the key of an exported student."""
        texts = [self.text(*pair) for group in self.runs.exported_texts().values() for pair in group]
        read = self.student(objective, seed), self.encoder(self.experiment.encoder), texts
        return self._key([self.specs.export(), code_key(*self.modules.export())], read)

    def _read_by_teacher(self, name: str, pairs: Iterable[tuple[str, str]]) -> list[Any]:
        teacher = self.runs.teacher(name)
        vectors = self.vectors(teacher.vectors) if teacher.vectors else None
        return [*self._read(teacher, self.runs.teacher_encoder(name), pairs), vectors]

    def _read_by_student(self, pairs: Iterable[tuple[str, str]]) -> list[Any]:
        return self._read(self.experiment.student, self.experiment.encoder, pairs)

    def _read(self, training: Training, encoder: EncoderSettings, pairs: Iterable[tuple[str, str]]) -> list[Any]:
        """Return the keys of some corpora, of what is stored of them, and of an encoder that is run itself."""
        listed = list(pairs)
        corpora, stored = [self.corpus(*pair) for pair in listed], training.stored(encoder)
        features = [self.features(feature_key(stored), *pair) for pair in listed] if stored else []
        return [corpora, features, *([self.encoder(encoder)] if training.mode == "finetune" else [])]


def _hash(*parts: Any) -> str:
    return sha256_json(parts)[:KEY_DIGITS]


def write_weights(mixture: Mixture) -> str | None:
    """Return the weights of an average as a job is told them; None for one teacher alone."""
    return ",".join(map(repr, mixture.shares)) if len(mixture.weights) > 1 else None
