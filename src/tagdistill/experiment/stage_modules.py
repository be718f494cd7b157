"""The modules that each job runs: its stage, and what the stage loads by name for this job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.crf.kernels.selection import modules as kernel_modules
from tagdistill.data.readers.read import format_of
from tagdistill.data.sources.source import load_source
from tagdistill.settings.metrics import metric_modules
from tagdistill.settings.names import FORMATS, PROVIDERS, SOURCES, module_of

if TYPE_CHECKING:
    from tagdistill.experiment.mixture import Mixture
    from tagdistill.experiment.runs import Runs
    from tagdistill.settings.encoder import EncoderSettings

Modules = tuple[str, ...]

PREPARE = "tagdistill.data.prepare"
REPEATS = "tagdistill.data.repeats"
DATA_REPORT = "tagdistill.data.report"
CONVERT_ENCODER = "tagdistill.encoders.convert"
CONVERT_VECTORS = "tagdistill.encoders.convert_vectors"
ENCODE = "tagdistill.encoders.features"
TRAIN = "tagdistill.training.run_training"
GATE = "tagdistill.training.gate"
FOLDS = "tagdistill.distill.folds"
SCORE_FOLDS = "tagdistill.distill.score_folds"
SCORE = "tagdistill.distill.score_corpus"
TARGETS = "tagdistill.distill.export_targets"
AVERAGE = "tagdistill.distill.average_targets"
EVALUATE = "tagdistill.evaluation.evaluate"
REPORT = "tagdistill.reporting.report"
EXPORT = "tagdistill.export.bundle"


class StageModules:
    """The modules behind the jobs of one experiment; `code_key` hashes them with all that they import."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._kernels = kernel_modules(runs.experiment.kernel)

    def prepare(self, language: str, split: str) -> Modules:
        """Return the modules for reading one split: its source and its format are loaded by name."""
        settings = self.runs.languages[language]
        modules = [PREPARE, module_of(SOURCES, settings.source)]
        if settings.given(split) or load_source(settings.source).fetched:  # the demo has no files
            modules.append(module_of(FORMATS, format_of(settings, settings.split(split))))
        return tuple(modules)

    def data_report(self) -> Modules:
        """Return the modules for data reports."""
        return (DATA_REPORT,)

    def repeats(self) -> Modules:
        """Return the modules for finding test sentences that students saw."""
        return (REPEATS,)

    def convert_encoder(self, encoder: EncoderSettings) -> Modules:
        """Return the modules for converting an encoder: its provider is loaded by name."""
        return CONVERT_ENCODER, _provider(encoder)

    def convert_vectors(self) -> Modules:
        """Return the modules for converting word vectors."""
        return (CONVERT_VECTORS,)

    def encode(self, encoder: EncoderSettings) -> Modules:
        """Return the modules for computing features."""
        return ENCODE, _provider(encoder)

    def teacher(self, name: str, *, fold: bool = False) -> Modules:
        """Return the modules for training a teacher, by its language or name, or one without a fold of its text."""
        return (
            TRAIN,
            *([FOLDS] if fold else []),
            *self.runs.teacher(name).modules,
            _provider(self.runs.teacher_encoder(name)),
            *self._kernels,
        )

    def student(self, objective: str) -> Modules:
        """Return the modules for training the student of an objective: its loss is loaded by name."""
        resolved = self.runs.objective(objective)
        loss = (*resolved.row.modules, *([GATE] if resolved.gate == "soft" else []))
        return (
            TRAIN,
            *loss,
            *self.runs.experiment.student.modules,
            _provider(self.runs.experiment.encoder),
            *self._kernels,
        )

    def score(self, name: str, corpus: str) -> Modules:
        """Return the modules for scoring a corpus with a teacher, by its language or name."""
        scoring = SCORE_FOLDS if self.runs.folds(name, corpus) else SCORE
        return scoring, _provider(self.runs.teacher_encoder(name)), *self._kernels

    def targets(self, mixture: Mixture) -> Modules:
        """Return the modules for exporting targets of one teacher, or of the average of several."""
        return (TARGETS if len(mixture.weights) == 1 else AVERAGE), *self._kernels

    def evaluate(self, model: str) -> Modules:
        """Return the modules for evaluating a model, given by its name: the metrics of the task are loaded by name."""
        teacher = self.runs.models[model].teacher
        encoder = self.runs.teacher_encoder(teacher) if teacher else self.runs.experiment.encoder
        return EVALUATE, *metric_modules(self.runs.experiment.task), _provider(encoder), *self._kernels

    def report(self) -> Modules:
        """Return the modules for the report: it asks the source of each language for its licence."""
        sources = {module_of(SOURCES, language.source) for language in self.runs.languages.values()}
        return REPORT, *sorted(sources)

    def export(self) -> Modules:
        """Return the modules for exporting a student."""
        return EXPORT, _provider(self.runs.experiment.encoder)


def _provider(encoder: EncoderSettings) -> str:
    """Return the module of an encoder's provider, which is loaded by name."""
    return module_of(PROVIDERS, encoder.provider)
