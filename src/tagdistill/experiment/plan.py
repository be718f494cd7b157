"""From an experiment's settings to its files and jobs: what the rules of the workflow ask.

Nothing here computes or imports torch: Snakemake reads it at every start, on every node.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import sha256_file
from tagdistill.data.labels import label_list
from tagdistill.data.sources.source import ROOT_HINT, advice, load_source
from tagdistill.encoders.keys import content_revision, encoder_key, feature_key, layers_of
from tagdistill.encoders.vectors import vectors_key
from tagdistill.errors import ConfigError
from tagdistill.experiment.config import available_splits, teacher_settings
from tagdistill.experiment.jobs import EncodeJob, EvaluateJob, PrepareJob, StudentJob, TeacherJob, VectorsJob, write_job
from tagdistill.experiment.layout import DOWNLOADS, VECTORS
from tagdistill.settings.distill import Anneal, Distill
from tagdistill.settings.encoder import EncoderSettings, Vectors, WordEncoder
from tagdistill.settings.experiment import TEACHERS_ON_ALL, Experiment
from tagdistill.settings.language import CORPORA, Language
from tagdistill.settings.objectives import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tagdistill.settings.training import TeacherSettings, Training


class Plan:
    """The files and jobs of one experiment. Paths are relative to the working folder."""

    def __init__(self, experiment: Experiment, project: Path) -> None:
        self.name = experiment.name
        self.results = f"results/{self.name}"
        self.root = _from_here(project / experiment.root)
        self._local_vectors: dict[str, tuple[Path, str]] = {}
        self._local: dict[str, tuple[Path, str]] = {}  # encoders on this disk: where, and the key that says so
        self.experiment = experiment.model_copy(update={"encoder": self._known(experiment.encoder, "encoder.id")})
        self.languages = {**experiment.languages, **experiment.zero_shot}
        self.trained = tuple(experiment.languages)
        self.labels = label_list(experiment.task, experiment.labels)
        self.tested = tuple(name for name in self.languages if "test" in self.splits(name))
        self.objectives = experiment.distill.objectives
        self._teachers = {language: self._teacher(language) for language in self.trained}

    # -- languages and splits

    def splits(self, language: str) -> tuple[str, ...]:
        """Return the splits of a language that are read."""
        trained = language in self.experiment.languages
        return available_splits(language, self.languages[language], trained=trained)

    def with_split(self, split: str) -> tuple[str, ...]:
        """Return the trained languages that have a split."""
        return tuple(name for name in self.trained if split in self.splits(name))

    def corpora(self, language: str) -> tuple[str, ...]:
        """Return the splits of a language that its teacher scores."""
        return tuple(split for split in CORPORA if split in self.splits(language))

    # -- raw files

    def raw(self, language: str, split: str) -> str | None:
        """Return the raw file of a split: in place, downloaded, or None for the demo's own."""
        settings = self.languages[language]
        if given := settings.given(split):
            return str(self.root / str(given.path))
        path = load_source(settings.source).raw_path(settings, split, language)
        return f"{DOWNLOADS}/{path}" if path else None

    def raw_sha256(self, language: str, split: str) -> str | None:
        """Return the checksum of a raw file that is used in place; None where its source pins what it holds.

        Snakemake sees that a file changed by its time alone. A file that was copied or unpacked over another keeps its
        own, older time; one that was touched holds what it held.
        """
        given = self.languages[language].given(split)
        return _sha256(self.root / str(given.path)) if given else None

    def check_files(self, where: str = "config") -> None:
        """Stop before anything runs where a file of the config, or a layer of an encoder, is not there.

        `where` names the config file.
        """
        for source, key in (*self._local.values(), *self._local_vectors.values()):
            if not source.exists():
                raise ConfigError(f"no such file or folder: {source}", where=f"{where}: {key}", hint=ROOT_HINT)
        self._check_layers(where)
        for language, settings in self.languages.items():
            for split in self.splits(language):
                if (given := settings.given(split)) and not Path(self.raw(language, split) or "").is_file():
                    group = "languages" if language in self.trained else "zero_shot"
                    raise ConfigError(
                        f"no such file: {self.root / str(given.path)}",
                        where=f"{where}: {group}.{language}.{split}",
                        hint=advice(settings),
                    )

    def _check_layers(self, where: str) -> None:
        students = (self.experiment.student, self.experiment.encoder, "encoder")
        teachers = [(self.teacher(x), self.teacher_encoder(x), self._encoder_place(x)) for x in self.trained]
        for training, encoder, place in (students, *teachers):
            key = encoder_key(encoder)
            source = self._local[key][0] if key in self._local else None
            known = layers_of(encoder, source, Path(self.encoder_folder(encoder)))
            name, wanted = ("tap", max(encoder.taps)) if training.mode == "frozen" else ("layers", encoder.layers)
            if known is not None and wanted > known:
                raise ConfigError(
                    f"layer {wanted}, but this encoder has {known} layers", where=f"{where}: {place}.{name}"
                )

    def download(self, raw: str) -> str:
        """Return the job that fetches a file below DOWNLOADS. Experiments share it: it holds nothing else of one."""
        pairs = ((language, split) for language in self.languages for split in self.splits(language))
        asking = [pair for pair in pairs if self.raw(*pair) == f"{DOWNLOADS}/{raw}"]
        language, split = asking[0]
        settings, part = self.languages[language], self.languages[language].part(split)
        known = {key: value for pair in asking for key, value in self.languages[pair[0]].sha256.items()}
        pinned = ("source", "treebank", "release", "dataset", "subset", "revision")
        plain = Language(
            **{name: getattr(settings, name) for name in pinned},
            code=load_source(settings.source).language_code(settings, language),
            sha256={key: value for key, value in known.items() if key in (part, "archive")},
        )
        name = Path(raw).parts[1]
        return write_job(PrepareJob(language=name, split=part, settings=plain, task="", labels="upos"))

    # -- teachers and students

    @property
    def teacher_decoders(self) -> tuple[str, ...]:
        """Return the decoders of the teachers that the objectives ask for."""
        asked = {OBJECTIVES[objective].teacher_decoder for objective in self.objectives}
        return tuple(sorted(decoder for decoder in asked if decoder))

    def teacher(self, language: str) -> TeacherSettings:
        return self._teachers[language]

    def _teacher(self, language: str) -> TeacherSettings:
        settings = teacher_settings(self.experiment, language)
        place = f"{self._encoder_place(language)}.id"
        encoder = self._known(settings.encoder, place) if settings.encoder else None
        vectors = self._known_vectors(settings.vectors, language) if settings.vectors else None
        return settings.model_copy(update={"encoder": encoder, "vectors": vectors})

    def _encoder_place(self, language: str) -> str:
        """Return the key that says which encoder the teacher of a language has."""
        if "encoder" in self.experiment.languages[language].teacher:
            return f"languages.{language}.teacher.encoder"
        return "teacher.encoder" if self.experiment.teacher.encoder else "encoder"

    def _known_vectors(self, vectors: Vectors, language: str) -> Vectors:
        """Return word vectors by what they are: a file of the user's by its name and checksum."""
        if not vectors.path:
            return vectors
        source = _from_here(self.root / vectors.path)
        sha256 = vectors.sha256 or (_sha256(source) if source.is_file() else None)
        known = vectors.model_copy(update={"path": source.name, "sha256": sha256})
        own = "vectors" in self.experiment.languages[language].teacher
        place = f"languages.{language}.teacher.vectors.path" if own else "teacher.vectors.path"
        self._local_vectors[vectors_key(known)] = source, place
        return known

    def vectors_folders(self) -> dict[str, Vectors]:
        """Return the word vectors that teachers read, by the name of their folder."""
        used = (self.teacher(language).vectors for language in self.trained)
        return {vectors_key(vectors): vectors for vectors in used if vectors}

    def vectors_input(self, language: str) -> list[str]:
        """Return the folder of the word vectors that the teacher of a language reads, if it reads any."""
        vectors = self.teacher(language).vectors
        return [f"{VECTORS}/{vectors_key(vectors)}"] if vectors else []

    def vectors_source(self, key: str) -> str:
        """Return where a file of word vectors lies, or nothing where it is fetched."""
        return str(self._local_vectors[key][0]) if key in self._local_vectors else ""

    def vectors_job(self, key: str) -> str:
        return write_job(VectorsJob(vectors=self.vectors_folders()[key]))

    def teacher_encoder(self, language: str) -> EncoderSettings:
        return self.teacher(language).encoder or self.experiment.encoder

    def teaching_seed(self, language: str) -> int:
        """Return the seed of the teacher that teaches; the others show the spread."""
        return self.teacher(language).seeds[0]

    def teachers(self) -> Iterable[tuple[str, str, int]]:
        """Yield language, decoder and seed of every teacher."""
        for decoder in self.teacher_decoders:
            for language in self.trained:
                for seed in self.teacher(language).seeds:
                    yield language, decoder, seed

    def models(self) -> list[str]:
        """Return all models: students/OBJECTIVE/seed-S and teachers/LANG/DECODER/seed-S."""
        students = [f"students/{name}/seed-{seed}" for name in self.objectives for seed in self.experiment.seeds]
        return students + [f"teachers/{lang}/{decoder}/seed-{seed}" for lang, decoder, seed in self.teachers()]

    def tests_of_teachers(self) -> tuple[str, ...]:
        """Return the languages every teacher is scored on; "{lang}" stands for its own alone."""
        asked = self.experiment.evaluate.teachers
        everywhere = asked == "all" or (asked == "auto" and len(self.languages) <= TEACHERS_ON_ALL)
        return self.tested if everywhere else ("{lang}",)

    # -- files below results/NAME

    def data(self, language: str, split: str) -> str:
        return f"{self.results}/data/{language}/{split}.parquet"

    def features(self, encoder: EncoderSettings, language: str, split: str) -> str:
        return f"{self.results}/features/{feature_key(encoder)}/{language}/{split}.safetensors"

    def scores(self, language: str, decoder: str, corpus: str) -> str:
        seed = self.teaching_seed(language)
        return f"{self.results}/teachers/{language}/{decoder}/seed-{seed}/scores/{corpus}.parquet"

    def targets(self, language: str, decoder: str, corpus: str) -> str:
        return f"{self.results}/targets/{language}/{decoder}/{corpus}.parquet"

    def metrics(self, model: str, languages: Iterable[str] | None = None) -> list[str]:
        return [f"{self.results}/metrics/{model}/{language}.json" for language in languages or self.tests_of(model)]

    def predictions(self, model: str, languages: Iterable[str]) -> list[str]:
        return [f"{self.results}/predictions/{model}/{language}.conll" for language in languages]

    def tests_of(self, model: str) -> tuple[str, ...]:
        """Return the languages that a model is scored on."""
        if model.startswith("students/"):
            return self.tested
        own = model.split("/")[1]
        wanted = (own if test == "{lang}" else test for test in self.tests_of_teachers())
        return tuple(language for language in wanted if language in self.tested)

    # -- inputs of the jobs that read several files

    def teacher_inputs(self, language: str) -> dict[str, list[str]]:
        splits = [split for split in self.splits(language) if split in ("train", "dev")]
        files = {split: [self.data(language, split)] for split in splits}
        if self.teacher(language).mode == "frozen":
            encoder = self.teacher_encoder(language)
            files |= {f"{split}_features": [self.features(encoder, language, split)] for split in splits}
            files |= {"vectors": folders} if (folders := self.vectors_input(language)) else {}
        return files

    def student_inputs(self, objective: str) -> dict[str, list[str]]:
        needs, decoder = OBJECTIVES[objective].needs, OBJECTIVES[objective].teacher_decoder
        files: dict[str, list[str]] = {}
        for split in ("train", "dev", *(("unlabelled",) if self.uses_unlabelled(objective) else ())):
            languages = self.with_split(split)
            files[split] = [self.data(language, split) for language in languages]
            if self.experiment.student.mode == "frozen":
                encoder = self.experiment.encoder
                files[f"{split}_features"] = [self.features(encoder, language, split) for language in languages]
            if decoder and split in CORPORA and "targets" in needs:
                files[f"{split}_targets"] = [self.targets(language, decoder, split) for language in languages]
            if decoder and split in CORPORA and "scores" in needs:
                files[f"{split}_scores"] = [self.scores(language, decoder, split) for language in languages]
        return {name: paths for name, paths in files.items() if paths}

    def uses_unlabelled(self, objective: str) -> bool:
        """Return whether an objective trains on text without labels: it has a teacher and a share of such batches."""
        return bool(OBJECTIVES[objective].needs) and self.experiment.distill.unlabelled_ratio > 0

    def test_inputs(self, model: str) -> dict[str, list[str]]:
        """Return the test files of a model and, for a teacher, its own training text."""
        own = model.split("/")[1] if model.startswith("teachers/") else None
        mode = self.teacher(own).mode if own else self.experiment.student.mode
        encoder = self.teacher_encoder(own) if own else self.experiment.encoder
        pairs = {"test": [(language, "test") for language in self.tests_of(model)]}
        if own:
            pairs["own"] = [(own, "train")]
        files = {name: [self.data(*pair) for pair in listed] for name, listed in pairs.items()}
        if mode == "frozen":
            files |= {
                f"{name}_features": [self.features(encoder, *p) for p in listed] for name, listed in pairs.items()
            }
            files |= {"vectors": folders} if own and (folders := self.vectors_input(own)) else {}
        return files

    def encoder_input(self, mode: str, encoder: EncoderSettings) -> list[str]:
        """Return the converted encoder where a job runs it itself."""
        return [self.encoder_folder(encoder)] if mode == "finetune" else []

    def encoder_folder(self, encoder: EncoderSettings) -> str:
        return f"resources/encoders/{encoder_key(encoder)}"

    def features_input(self, language: str, split: str) -> list[str]:
        """Return the features that the teacher of a language reads, if it reads any."""
        frozen = self.teacher(language).mode == "frozen"
        return [self.features(self.teacher_encoder(language), language, split)] if frozen else []

    def _known(self, encoder: EncoderSettings, place: str) -> EncoderSettings:
        """Return an encoder by what it is, not by where it lies: a local folder by a hash of its files."""
        if encoder.provider not in ("path", "wheel") or not encoder.id:
            return encoder
        source = _from_here(self.root / encoder.id)
        revision = _content(source) if encoder.provider == "path" else None
        name = source.name if encoder.provider == "path" else None
        known = encoder.model_copy(update={"id": name, "revision": revision})
        self._local[encoder_key(known)] = source, place
        return known

    def local_encoders(self) -> list[Path]:
        """Return the folders (or wheels) on this disk that the config takes encoders from."""
        return [source for source, _ in self._local.values()]

    def encoder_source(self, key: str) -> str:
        """Return where a local encoder lies, or nothing."""
        return str(self._local[key][0]) if key in self._local else ""

    def encoders(self) -> dict[str, EncoderSettings]:
        """Return the settings of every encoder by the key of its features."""
        used = [self.experiment.encoder, *(self.teacher_encoder(language) for language in self.trained)]
        return {feature_key(encoder): encoder for encoder in used}

    def encoder_of_key(self, key: str) -> EncoderSettings:
        """Return the settings of the encoder that is converted into `resources/encoders/KEY`."""
        return next(encoder for encoder in self.encoders().values() if encoder_key(encoder) == key)

    # -- jobs

    def prepare_job(self, language: str, split: str) -> str:
        settings = self.languages[language]
        # What other stages read stays out: a change there must not prepare anything anew.
        others = {name: None for name in ("train", "dev", "test", "unlabelled") if name != split}
        own: dict[str, Any] = {"teacher": {}, "out_of_domain": False, "leave_out": None, "splits": None, "sha256": {}}
        own["licence"] = None  # the report reads it from the settings
        return write_job(
            PrepareJob(
                language=language,
                split=split,
                settings=Language.model_validate({**settings.model_dump(), **own, **others}),
                task=self.experiment.task,
                labels=self.experiment.labels,
                limit=getattr(self.experiment.limit, split),
            )
        )

    def convert_job(self, key: str) -> str:
        encoder = self.encoder_of_key(key)
        plain = EncoderSettings(provider=encoder.provider, id=encoder.id, revision=encoder.revision)
        return write_job(EncodeJob(encoder=plain))

    def encode_job(self, key: str) -> str:
        return write_job(EncodeJob(encoder=_read_frozen(self.encoders()[key])))

    def teacher_job(self, language: str, decoder: str, seed: int) -> str:
        settings = self.teacher(language)
        return write_job(
            TeacherJob(
                language=language,
                task=self.experiment.task,
                labels=self.labels,
                decoder=decoder,  # type: ignore[arg-type]
                settings=settings.model_copy(update={"seeds": (0,), "encoder": None, "vectors": None}),
                encoder=WordEncoder(
                    **_read_by(settings, self.teacher_encoder(language)).model_dump(), vectors=settings.vectors
                ),
                seed=seed,
                kernel=self.experiment.kernel,
            )
        )

    def student_job(self, objective: str, seed: int) -> str:
        unlabelled = self.with_split("unlabelled") if self.uses_unlabelled(objective) else ()
        return write_job(
            StudentJob(
                languages=self.trained,
                dev_languages=self.with_split("dev"),
                unlabelled_languages=unlabelled,
                task=self.experiment.task,
                labels=self.labels,
                objective=objective,
                settings=self.experiment.student,
                distill=_read_for(objective, self.experiment.distill, bool(unlabelled)),
                encoder=_read_by(self.experiment.student, self.experiment.encoder),
                seed=seed,
                kernel=self.experiment.kernel,
            )
        )

    def evaluate_job(self, model: str) -> str:
        return write_job(
            EvaluateJob(
                model=model,
                languages=self.tests_of(model),
                zero_shot=tuple(name for name in self.tests_of(model) if name not in self.trained),
                own=model.split("/")[1] if model.startswith("teachers/") else None,
                decode=self.experiment.evaluate.decode,
                kernel=self.experiment.kernel,
            )
        )


def _from_here(path: Path) -> Path:
    """Return a path below the working folder as a relative one: a project that is moved keeps its results."""
    here = Path.cwd()
    path = Path(os.path.normpath(path))
    return path.relative_to(here) if path.is_relative_to(here) else path


@cache
def _content(folder: Path) -> str | None:
    return content_revision(folder) if folder.is_dir() else None


@cache
def _sha256(path: Path) -> str:
    return sha256_file(path)


def _read_frozen(encoder: EncoderSettings) -> EncoderSettings:
    plain = EncoderSettings.model_validate({})
    return encoder.model_copy(update={"layers": plain.layers, "freeze_embeddings": plain.freeze_embeddings})


def _read_by(settings: Training, encoder: EncoderSettings) -> EncoderSettings:
    """Return the encoder settings with those that this mode does not read at their defaults."""
    return _read_frozen(encoder) if settings.mode == "frozen" else encoder.model_copy(update={"tap": 6})


def _read_for(objective: str, distill: Distill, unlabelled: bool) -> Distill:
    """Return the distillation settings with those that this objective does not read at their defaults."""
    plain = Distill.model_validate({})
    row = OBJECTIVES[objective]
    return distill.model_copy(
        update={
            "objectives": (objective,),
            "k": plain.k,  # the targets hold it
            "temperature": distill.temperature if row.tempered else plain.temperature,
            "anneal": distill.anneal if row.needs else Anneal.model_validate({}),
            "unlabelled_ratio": distill.unlabelled_ratio if unlabelled else plain.unlabelled_ratio,
        }
    )


def files_json(files: Mapping[str, Any]) -> str:
    """Return named lists of files as one line of JSON."""
    return json.dumps({name: [str(path) for path in paths] for name, paths in files.items()}, sort_keys=True)
