"""From the settings of an experiment to its files and jobs: what the rules of the workflow ask for.

Nothing here computes or imports torch: Snakemake reads it at every start, on every node.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.vectors import vectors_key
from tagdistill.experiment import layout
from tagdistill.experiment.job_keys import JobKeys
from tagdistill.experiment.job_specs import JobSpecs
from tagdistill.experiment.layout import DOWNLOADS, encoder_folder, vectors_folder
from tagdistill.experiment.local_files import LocalFiles
from tagdistill.experiment.runs import Runs
from tagdistill.experiment.shared_files import SharedFiles
from tagdistill.experiment.stage_modules import StageModules
from tagdistill.settings.encoder import PieceStates
from tagdistill.settings.language import CORPORA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tagdistill.experiment.mixture import Mixture
    from tagdistill.settings.encoder import EncoderSettings
    from tagdistill.settings.experiment import Experiment
    from tagdistill.settings.language import Split
    from tagdistill.settings.training import Training

Files = dict[str, list[str]]


class Plan:
    """One experiment as a workflow: its models, its files, its jobs. Paths are relative to the working folder.

    `runs` holds the models and languages, `local` the user's own files, `specs` the job specifications, `modules` the
    code that each job runs, `keys` what each result is known by, and `files` the results that experiments share.
    `results` is the folder of what is this experiment's alone, and of links to the others.
    """

    def __init__(self, experiment: Experiment, here: Path) -> None:
        self.name = experiment.name
        self.local = LocalFiles(experiment, here)
        known = self.local.known_encoder(experiment.encoder, "encoder.id")
        self.experiment = experiment.model_copy(update={"encoder": known})
        self.runs = Runs(self.experiment, self.local.known_teacher)
        self.results = f"results/{self.name}"
        self.specs = JobSpecs(self.runs)
        self.modules = StageModules(self.runs)
        self.keys = JobKeys(self.specs, self.modules, self.local)
        self.files = SharedFiles(self.keys)

    def check_files(self, where: str = "config") -> None:
        """Raise ConfigError where a file of the config, or a layer of an encoder, is not there.

        `where` names the config file.
        """
        self.local.check(self.runs, where)

    def notes(self) -> list[str]:
        """Return what someone who extends the experiment should know, a line each."""
        used = {model.teacher for model in self.runs.teachers}
        names = [
            x for x in self.runs.shared if x in used and self.experiment.teachers[x].get("languages", "all") == "all"
        ]
        return [
            f"note: the teacher {name} learns from all languages: adding one trains it anew, and all that it teaches"
            for name in names
        ]

    # -- raw files

    def raw(self, language: str, split: str) -> str | None:
        """Return the raw file of a split: in place, downloaded, or None for the demo's own."""
        return self.local.raw(language, self.runs.languages[language], split)

    def raw_sha256(self, language: str, split: str) -> str | None:
        """Return the checksum of a raw file that is used in place; None where its source pins its content."""
        return self.local.raw_sha256(self.runs.languages[language], split)

    def given(self, language: str, split: str) -> Split | None:
        """Return a split that is a file of the user's own, or None where its source has it."""
        return self.runs.languages[language].given(split)

    def local_megabytes(self, language: str, split: str) -> float:
        """Return the size of a raw file that is used in place, in MB; 0 where there is none."""
        return Path(self.raw(language, split) or "").stat().st_size / 1e6 if self.given(language, split) else 0.0

    def raw_files(self) -> Iterator[tuple[str, str, str]]:
        """Yield language, split and raw file of every split that has one."""
        for language in self.runs.languages:
            for split in self.runs.splits(language):
                if raw := self.raw(language, split):
                    yield language, split, raw

    def download(self, raw: str) -> str:
        """Return the job that fetches a file below DOWNLOADS."""
        asking = [(language, split) for language, split, file in self.raw_files() if file == f"{DOWNLOADS}/{raw}"]
        return self.specs.download(raw, asking)

    # -- files that several rules name

    def scores(self, teacher: str, decoder: str, language: str, corpus: str) -> str:
        """Return the scores of a teacher, by its language or name, of the seed that teaches."""
        return self.files.scores(teacher, decoder, self.runs.teaching_seed(teacher), language, corpus)

    def corpora(self, language: str) -> list[str]:
        """Return the corpora of a language."""
        return [self.files.corpus(language, split) for split in self.runs.splits(language)]

    def left_out_tests(self, language: str, split: str) -> list[str]:
        """Return the test corpora whose sentences are left out of a split."""
        return [self.files.corpus(tested, "test") for tested in self.specs.without_tests_of(language, split)]

    def repeats_inputs(self) -> Files:
        """Return the corpora that students train on, and the test corpora."""
        return {
            "seen": [self.files.corpus(*pair) for pair in self.runs.seen_by_students],
            "tests": [self.files.corpus(language, "test") for language in self.runs.tested],
        }

    def metrics(self) -> list[str]:
        """Return the metrics of all models."""
        return [file for model in self.runs.models.values() for file in self.files.metrics(model)]

    def models(self, kind: str) -> list[str]:
        """Return the models of a kind, "teacher" or "student"."""
        return [self.files.trained(model.name)[0] for model in self.runs.models.values() if model.kind == kind]

    def export(self, objective: str, seed: int | str) -> str:
        """Return the folder of an exported student."""
        return f"{self.results}/export/{objective}/seed-{seed}"

    def teacher_targets(self) -> list[str]:
        """Return the targets of all corpora that a student learns from."""
        return [
            self.files.targets(language, decoder, corpus, mixture)
            for decoder, language, corpus, mixture in self.runs.targets
        ]

    # -- inputs of the jobs, by name; lists are in the languages' order

    def teacher_inputs(self, name: str) -> Files:
        """Return the inputs of the training of a teacher, by its language or name."""
        teacher, encoder = self.runs.teacher(name), self.runs.teacher_encoder(name)
        files: Files = {}
        taught = self.runs.taught(name)
        for split in ("train", "dev"):
            languages = [x for x in self.runs.with_split(split) if x in taught]
            files[split] = [self.files.corpus(language, split) for language in languages]
            files |= self._stored(name, split, languages, f"{split}_")
        return self._given(files, teacher, encoder, vectors_of=name)

    def score_inputs(self, name: str, decoder: str, seed: int, language: str, corpus: str) -> Files:
        """Return the inputs of the scoring of one corpus by a teacher, by its language or name."""
        teacher, encoder = self.runs.teacher(name), self.runs.teacher_encoder(name)
        model, *_ = self.files.trained(layout.teacher(name, decoder, seed))
        files = {"model": [model], "corpus": [self.files.corpus(language, corpus)]}
        folds = range(self.runs.folds(name, corpus))
        files["folds"] = [self.files.fold_trained(name, decoder, seed, fold)[0] for fold in folds]
        files |= self._stored(name, corpus, [language])
        return self._given(files, teacher, encoder, vectors_of=name)

    def target_inputs(self, language: str, decoder: str, corpus: str, mixture: Mixture) -> Files:
        """Return the inputs of the targets of one corpus: the scores of its teachers."""
        return {"scores": [self.scores(teacher, decoder, language, corpus) for teacher in mixture.teachers]}

    def student_inputs(self, objective: str, seed: int) -> Files:
        """Return the inputs of the training of a student."""
        resolved, student = self.runs.objective(objective), self.experiment.student
        row = resolved.row
        decoder = row.teacher_decoder or row.decoder
        files: Files = {}
        for split in ("train", "dev", "unlabelled"):
            languages = self.runs.seen(objective, split)
            files[split] = [self.files.corpus(language, split) for language in languages]
            files |= self._stored(None, split, languages, f"{split}_")
            taught = [(x, mix) for x in languages if split in CORPORA and (mix := self.runs.mixture(objective, x))]
            if "targets" in row.needs:
                files[f"{split}_targets"] = [self.files.targets(x, decoder, split, mix) for x, mix in taught]
            if "scores" in row.needs:
                files[f"{split}_scores"] = [
                    self.scores(y, decoder, x, split) for x, mix in taught for y in mix.teachers
                ]
        if baseline := self.runs.gated_by(objective, seed):
            names = sorted({name for mix in self.runs.gated(objective).values() for name in mix.teachers})
            teachers = [layout.teacher(name, decoder, self.runs.teaching_seed(name)) for name in names]
            files["gate_teachers"] = [self.files.trained(teacher)[-1] for teacher in teachers]
            files["gate_baseline"] = [self.files.trained(baseline.name)[-1]]
        return self._given(files, student, self.experiment.encoder)

    def test_inputs(self, model: str) -> Files:
        """Return the inputs of the evaluation of a model, given by its name; of a teacher also its own scores."""
        planned = self.runs.models[model]
        teacher, languages = planned.teacher, self.runs.tests_of(planned)
        training: Training = self.runs.teacher(teacher) if teacher else self.experiment.student
        encoder = self.runs.teacher_encoder(teacher) if teacher else self.experiment.encoder
        files = {"test": [self.files.corpus(language, "test") for language in languages]}
        files |= self._stored(teacher, "test", languages, "test_")
        if own := self.runs.own_text(planned):
            files["own"] = [self.files.corpus(own, "train")]
            files["own_scores"] = [self.files.scores(own, planned.decoder, planned.seed, own, "train")]
        return self._given(files, training, encoder, vectors_of=teacher)

    def report_inputs(self) -> Files:
        """Return the inputs of the report."""
        trained = [self.files.trained(model) for model in self.runs.models]
        return {
            "metrics": self.metrics(),
            "logs": [log for _, log, _ in trained],
            "summaries": [summary for *_, summary in trained],
            "data": [self.files.data_report(language) for language in self.runs.languages],
            "repeats": [self.files.repeats],
            "encoder": [encoder_folder(self.experiment.encoder)],
        }

    def export_inputs(self, objective: str, seed: int | str) -> Files:
        """Return the inputs of an export, without the card: with the text that graphs are compared on."""
        model, *_ = self.files.trained(layout.student(objective, seed))
        texts = self.runs.exported_texts()
        files = {name: [self.files.corpus(*pair) for pair in pairs] for name, pairs in texts.items()}
        return {"model": [model], "encoder": [encoder_folder(self.experiment.encoder)], **files}

    def _stored(self, teacher: str | None, split: str, languages: Iterable[str], prefix: str = "") -> Files:
        """Return what is stored of the encoder of a teacher (None: of students) for a split: features or states."""
        stored = self.runs.stored(teacher)
        if stored is None:
            return {}
        kind = "states" if isinstance(stored, PieceStates) else "features"
        return {f"{prefix}{kind}": [self.files.features(stored, language, split) for language in languages]}

    def _given(
        self, files: Files, training: Training, encoder: EncoderSettings, vectors_of: str | None = None
    ) -> Files:
        """Add the folders that a job reads: the encoder that it runs itself, and a teacher's word vectors."""
        if training.mode == "finetune":
            files["encoder"] = [encoder_folder(encoder)]
        elif vectors_of and (vectors := self.runs.teacher(vectors_of).vectors):
            files["vectors"] = [vectors_folder(vectors_key(vectors))]
        return {name: paths for name, paths in files.items() if paths}

    def encode_inputs(self, features: str, language: str) -> Files:
        """Return the inputs of the job that stores the features of a language, given the key of encoder and layers."""
        corpora = [self.files.corpus(language, split) for split in self.files.stores(features, language)]
        return {"encoder": [encoder_folder(self.specs.encoders()[features])], "corpora": corpora}

    # -- encoders

    def encoder_folders(self) -> set[str]:
        """Return the keys of all converted encoders that the experiment uses."""
        return {encoder_key(encoder) for encoder in self.specs.encoders().values()}


def files_json(files: Mapping[str, Any]) -> str:
    """Return named lists of files as one line of JSON."""
    return json.dumps({name: [str(path) for path in paths] for name, paths in files.items()}, sort_keys=True)
