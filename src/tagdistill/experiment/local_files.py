"""The user's own files that a config names: where they lie, and what they are known by.

Raw data, encoders in a folder and files of word vectors are known by their content, never by their place: data that is
moved, or mounted elsewhere, is the same data.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import sha256_file
from tagdistill.data.sources.source import advice, load_source, root_hint
from tagdistill.encoders.architectures import architecture_of
from tagdistill.encoders.keys import architecture_names, encoder_key, layers_of
from tagdistill.encoders.provider import load_provider
from tagdistill.encoders.vectors import vectors_key
from tagdistill.errors import ConfigError, nearest_file
from tagdistill.experiment.layout import DOWNLOADS, encoder_folder

if TYPE_CHECKING:
    from tagdistill.experiment.runs import Runs
    from tagdistill.settings.encoder import EncoderSettings, Vectors
    from tagdistill.settings.experiment import Experiment
    from tagdistill.settings.language import Language
    from tagdistill.settings.training import TeacherSettings


class LocalFiles:
    """The local files of one experiment. `root` is where its relative paths start, `here` the folder of the run."""

    def __init__(self, experiment: Experiment, here: Path) -> None:
        self.experiment = experiment
        self.root = _from_here(here / experiment.root)
        # By key: where it lies, and the key of the config that names it.
        self._encoders: dict[str, tuple[Path, str]] = {}
        self._vectors: dict[str, tuple[Path, str]] = {}

    # -- raw data

    def raw(self, language: str, settings: Language, split: str) -> str | None:
        """Return the raw file of a split: in place, downloaded, or None for the demo's own."""
        if given := settings.given(split):
            return str(self.root / str(given.path))
        path = load_source(settings.source).raw_path(settings, split, language)
        return f"{DOWNLOADS}/{path}" if path else None

    def raw_sha256(self, settings: Language, split: str) -> str | None:
        """Return the checksum of a raw file that is used in place; None where its source pins its content.

        Snakemake sees that a file changed by its time alone. A file that was copied or unpacked over another keeps its
        own, older time; one that was touched has the same content as before.
        """
        given = settings.given(split)
        return _sha256(self.root / str(given.path)) if given else None

    # -- encoders and word vectors

    def known_encoder(self, encoder: EncoderSettings, place: str) -> EncoderSettings:
        """Return an encoder by its content: a folder by a hash of its files, a copy of the wheel as the wheel.

        `place` is the key of the config that names it.
        """
        provider = load_provider(encoder.provider)
        if not provider.local or not encoder.id:
            return encoder
        source = _from_here(self.root / encoder.id)
        known = provider.by_content(encoder, source)
        self._encoders[encoder_key(known)] = source, place
        return known

    def known_teacher(self, name: str, teacher: TeacherSettings) -> TeacherSettings:
        """Return the settings of a teacher with its own encoder and word vectors by their content."""
        encoder = teacher.encoder and self.known_encoder(teacher.encoder, f"{self.encoder_place(name)}.id")
        vectors = teacher.vectors and self._known_vectors(teacher.vectors, name)
        return teacher.model_copy(update={"encoder": encoder, "vectors": vectors})

    def encoder_place(self, teacher: str) -> str:
        """Return the key of the config that says which encoder a teacher has, by its language or name."""
        if teacher in self.experiment.teachers:
            if "encoder" in self.experiment.teachers[teacher]:
                return f"teachers.{teacher}.encoder"
        elif "encoder" in self.experiment.languages[teacher].teacher:
            return f"languages.{teacher}.teacher.encoder"
        return "teacher.encoder" if self.experiment.teacher.encoder else "encoder"

    def _known_vectors(self, vectors: Vectors, language: str) -> Vectors:
        if not vectors.path:
            return vectors
        source = _from_here(self.root / vectors.path)
        sha256 = vectors.sha256 or (_sha256(source) if source.is_file() else None)
        known = vectors.model_copy(update={"path": "local", "sha256": sha256})
        own = language in self.experiment.languages and "vectors" in self.experiment.languages[language].teacher
        place = f"languages.{language}.teacher.vectors.path" if own else "teacher.vectors.path"
        self._vectors[vectors_key(known)] = source, place
        return known

    def encoders(self) -> list[Path]:
        """Return the folders (or wheels) on this disk that the config takes encoders from."""
        return [source for source, _ in self._encoders.values()]

    def encoder_source(self, key: str) -> str:
        """Return where a local encoder lies, or nothing where it is fetched."""
        return str(self._encoders[key][0]) if key in self._encoders else ""

    def vectors_source(self, key: str) -> str:
        """Return where a file of word vectors lies, or nothing where it is fetched."""
        return str(self._vectors[key][0]) if key in self._vectors else ""

    # -- checks before anything runs

    def check(self, runs: Runs, where: str) -> None:
        """Raise ConfigError where a file of the config, or a layer of an encoder, is not there.

        `where` names the config file.
        """
        for source, key in (*self._encoders.values(), *self._vectors.values()):
            if not source.exists():
                hint = f"{nearest_file(source)} {root_hint(self.root)}".lstrip()
                raise ConfigError(f"no such file or folder: {source}", where=f"{where}: {key}", hint=hint)
        self._check_layers(runs, where)
        if "formats" in runs.experiment.export.model_fields_set:
            self._check_graphs(runs, where)
        for language, settings in runs.languages.items():
            for split in runs.splits(language):
                if (given := settings.given(split)) and not (self.root / str(given.path)).is_file():
                    group = "languages" if language in runs.trained else "zero_shot"
                    raise self._not_a_file(str(given.path), f"{where}: {group}.{language}.{split}", settings)

    def _not_a_file(self, given: str, where: str, settings: Language) -> ConfigError:
        """Return the error for the path of a split at which no file lies."""
        if not given.strip():
            return ConfigError("the path is empty", where=where, hint="Give a file, or leave the key out.")
        path = self.root / given
        hint = advice(settings, self.root)
        if path.is_dir():
            return ConfigError(f"is a folder, not a file: {path}", where=where, hint=hint)
        return ConfigError(f"no such file: {path}", where=where, hint=f"{nearest_file(path)} {hint}".lstrip())

    def warnings(self, runs: Runs, where: str) -> list[str]:
        """Return what a default of the config stops, a line each: an export that `check` does not refuse."""
        try:
            self._check_graphs(runs, where)
        except ConfigError as error:
            return [f"warning: students cannot be exported as it stands: {error.what}. {error.hint}"]
        return []

    def _check_graphs(self, runs: Runs, where: str) -> None:
        """Raise ConfigError where students are to be exported as graphs that their encoder is known not to have."""
        encoder = runs.experiment.encoder
        source = self.encoder_source(encoder_key(encoder))
        names = architecture_names(Path(source) if source else None, Path(encoder_folder(encoder)))
        if names and set(runs.experiment.export.formats) != {"torch"}:
            architecture_of(*names, where=f"{where}: export.formats")

    def _check_layers(self, runs: Runs, where: str) -> None:
        students = (runs.experiment.student, runs.experiment.encoder, "encoder")
        named = (*runs.trained, *runs.shared)
        teachers = [(runs.teacher(x), runs.teacher_encoder(x), self.encoder_place(x)) for x in named]
        for training, encoder, place in (students, *teachers):
            source = self.encoder_source(encoder_key(encoder))
            layers = layers_of(encoder, Path(source) if source else None, Path(encoder_folder(encoder)))
            frozen = training.mode == "frozen"
            name, highest = (
                ("tap", max(encoder.taps)) if frozen else ("layers", encoder.tuned_from(training.tune_from).layers)
            )
            if layers is not None and highest > layers:
                raise ConfigError(
                    f"layer {highest}, but this encoder has {layers} layers", where=f"{where}: {place}.{name}"
                )


def _from_here(path: Path) -> Path:
    """Return a path below the working folder as a relative one: a project that is moved keeps its results."""
    here = Path.cwd()
    path = Path(os.path.normpath(path))
    return path.relative_to(here) if path.is_relative_to(here) else path


@cache
def _sha256(path: Path) -> str:
    return sha256_file(path)
