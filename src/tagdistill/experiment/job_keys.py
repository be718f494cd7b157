"""What each result is known by: its job's settings and code, and the keys of all that the job reads.

Two runs with the same key give the same bytes. No path is part of a key, only content: data or an encoder that was
moved, or made again, is the same. A result with its own key is up to date, whatever became of the files that it was
made from.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.code_key import code_key
from tagdistill.artifacts.files import sha256_json
from tagdistill.encoders.keys import encoder_key, feature_key
from tagdistill.encoders.vectors import vectors_key
from tagdistill.settings.language import CORPORA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tagdistill.experiment.job_specs import JobSpecs
    from tagdistill.experiment.local_files import LocalFiles
    from tagdistill.experiment.stage_modules import StageModules
    from tagdistill.settings.encoder import EncoderSettings, Vectors
    from tagdistill.settings.training import Training

DIGITS = 16  # hexadecimal; the hash of code alone has 12, a checksum 64


class JobKeys:
    """The keys of the results of one experiment."""

    def __init__(self, specs: JobSpecs, modules: StageModules, local: LocalFiles) -> None:
        self.specs, self.modules, self.local = specs, modules, local
        self.runs, self.experiment = specs.runs, specs.experiment
        # The same keys are asked for by every job downstream.
        self.corpus, self.text = cache(self._corpus), cache(self._text)
        self.features, self.teacher, self.scores = cache(self._features), cache(self._teacher), cache(self._scores)

    def _corpus(self, language: str, split: str) -> str:
        """Return the key of a corpus."""
        return _key(
            self.specs.prepare(language, split),
            self._raw(language, split),
            code_key(*self.modules.prepare(language, split)),
            *self._left_out(split),
        )

    def _text(self, language: str, split: str) -> str:
        """Return the key of the tokens of a corpus, whatever its labels are."""
        return _key(
            self.specs.tokens(language, split),
            self._raw(language, split),
            code_key(*self.modules.prepare(language, split)),
            *self._left_out(split),
        )

    def _left_out(self, split: str) -> list[str]:
        """Return the keys of the test sets whose sentences a split does not hold."""
        return [self.text(language, "test") for language in self.specs.without_tests_of(split)]

    def _raw(self, language: str, split: str) -> str | None:
        return self.local.raw_sha256(self.runs.languages[language], split)

    def data_report(self, language: str) -> str:
        """Return the key of a data report."""
        corpora = [self.corpus(language, split) for split in self.runs.splits(language)]
        return _key(code_key(*self.modules.data_report()), corpora)

    def repeats(self) -> str:
        """Return the key of the repeats of all test sets."""
        read = [(language, split) for language in self.runs.trained for split in self.runs.corpora(language)]
        read += [(language, "test") for language in self.runs.tested]
        return _key(code_key(*self.modules.repeats()), [self.text(*pair) for pair in read])

    def encoder(self, encoder: EncoderSettings) -> str:
        """Return the key of a converted encoder."""
        return _key(encoder_key(encoder), code_key(*self.modules.convert_encoder(encoder)))

    def vectors(self, vectors: Vectors) -> str:
        """Return the key of converted word vectors."""
        return _key(vectors_key(vectors), code_key(*self.modules.convert_vectors()))

    def _features(self, features: str, language: str, split: str) -> str:
        """Return the key of a feature store, given the key of its encoder and layers."""
        encoder = self.specs.encoders()[features]
        return _key(
            self.specs.encode(features),
            code_key(*self.modules.encode(encoder)),
            self.encoder(encoder),
            self.text(language, split),
        )

    def _teacher(self, language: str, decoder: str, seed: int) -> str:
        """Return the key of a teacher."""
        splits = [split for split in ("train", "dev") if split in self.runs.splits(language)]
        read = self._read_by_teacher(language, [(language, split) for split in splits])
        return _key(self.specs.teacher(language, decoder, seed), code_key(*self.modules.teacher(language)), read)

    def _scores(self, language: str, decoder: str, seed: int, corpus: str) -> str:
        """Return the key of the scores of a teacher on one corpus."""
        read = self._read_by_teacher(language, [(language, corpus)])
        return _key(code_key(*self.modules.score(language)), self.teacher(language, decoder, seed), read)

    def targets(self, language: str, decoder: str, corpus: str) -> str:
        """Return the key of the targets of one corpus."""
        scores = self.scores(language, decoder, self.runs.teaching_seed(language), corpus)
        return _key(self.experiment.distill.k, self.experiment.kernel, code_key(*self.modules.targets()), scores)

    def student(self, objective: str, seed: int) -> str:
        """Return the key of a student."""
        resolved = self.runs.objective(objective)
        row = resolved.row
        splits = ("train", "dev", *(("unlabelled",) if resolved.uses_unlabelled else ()))
        pairs = [(language, split) for split in splits for language in self.runs.with_split(split)]
        decoder = row.teacher_decoder
        taught = [pair for pair in pairs if pair[1] in CORPORA and decoder]
        targets = [self.targets(x, str(decoder), split) for x, split in taught if "targets" in row.needs]
        seeds = self.runs.teaching_seed
        scores = [self.scores(x, str(decoder), seeds(x), split) for x, split in taught if "scores" in row.needs]
        spec, code = self.specs.student(objective, seed), code_key(*self.modules.student(objective))
        baseline = self.runs.gated_by(objective, seed)
        gate = (
            [self.student(str(baseline.objective), seed)] if baseline else []
        )  # and the teachers, by what they taught
        return _key(spec, code, self._read_by_student(pairs), targets, scores, *gate)

    def evaluation(self, name: str) -> str:
        """Return the key of the scores of a model, given by its name."""
        model = self.runs.models[name]
        pairs = [(language, "test") for language in self.runs.tests_of(model)]
        if model.teacher is None:
            key, read = self.student(str(model.objective), model.seed), self._read_by_student(pairs)
        else:
            key = self.teacher(model.teacher, model.decoder, model.seed)
            read = self._read_by_teacher(model.teacher, pairs)
            if own := self.runs.own_text(model):
                read += [self.corpus(own, "train"), self.scores(own, model.decoder, model.seed, "train")]
        return _key(self.specs.evaluate(name), code_key(*self.modules.evaluate(name)), key, read)

    def report(self) -> str:
        """Return the key of the report."""
        evaluations = [self.evaluation(name) for name in self.runs.models]
        data = [self.data_report(language) for language in self.runs.languages]
        return _key(
            self.specs.report(),
            code_key(*self.modules.report()),
            evaluations,
            data,
            self.repeats(),
            encoder_key(self.experiment.encoder),
        )

    def export(self, objective: str, seed: int) -> str:
        """Return the key of an exported student."""
        texts = [self.text(*pair) for group in self.runs.exported_texts().values() for pair in group]
        return _key(
            self.specs.export(),
            code_key(*self.modules.export()),
            self.student(objective, seed),
            self.encoder(self.experiment.encoder),
            texts,
        )

    def _read_by_teacher(self, language: str, pairs: Iterable[tuple[str, str]]) -> list[Any]:
        teacher = self.runs.teacher(language)
        vectors = self.vectors(teacher.vectors) if teacher.vectors else None
        return [*self._read(teacher, self.runs.teacher_encoder(language), pairs), vectors]

    def _read_by_student(self, pairs: Iterable[tuple[str, str]]) -> list[Any]:
        return self._read(self.experiment.student, self.experiment.encoder, pairs)

    def _read(self, training: Training, encoder: EncoderSettings, pairs: Iterable[tuple[str, str]]) -> list[Any]:
        """Return the keys of some corpora, and of their features or of the encoder that is run over them."""
        listed = list(pairs)
        corpora = [self.corpus(*pair) for pair in listed]
        if training.mode == "finetune":
            return [corpora, self.encoder(encoder)]
        return [corpora, [self.features(feature_key(encoder), *pair) for pair in listed]]


def _key(*parts: Any) -> str:
    return sha256_json(parts)[:DIGITS]
