"""The modules that each job runs: its stage, and what the stage loads by name for this job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.crf.kernels.selection import modules as kernel_modules
from tagdistill.data.readers.read import format_of
from tagdistill.data.sources.source import load_source
from tagdistill.settings.metrics import metric_modules
from tagdistill.settings.names import FORMATS, PROVIDERS, SOURCES, module_of
from tagdistill.settings.objectives import OBJECTIVES

if TYPE_CHECKING:
    from tagdistill.experiment.runs import Runs
    from tagdistill.settings.encoder import EncoderSettings

Modules = tuple[str, ...]

PREPARE = "tagdistill.data.prepare"
DATA_REPORT = "tagdistill.data.report"
CONVERT_ENCODER = "tagdistill.encoders.convert"
CONVERT_VECTORS = "tagdistill.encoders.convert_vectors"
ENCODE = "tagdistill.encoders.features"
TRAIN = "tagdistill.training.run_training"
SCORE = "tagdistill.distill.score_corpus"
TARGETS = "tagdistill.distill.export_targets"
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

    def convert_encoder(self, encoder: EncoderSettings) -> Modules:
        """Return the modules for converting an encoder: its provider is loaded by name."""
        return CONVERT_ENCODER, module_of(PROVIDERS, encoder.provider)

    def convert_vectors(self) -> Modules:
        """Return the modules for converting word vectors."""
        return (CONVERT_VECTORS,)

    def encode(self) -> Modules:
        """Return the modules for computing features."""
        return (ENCODE,)

    def train(self, objective: str | None = None) -> Modules:
        """Return the modules for training a teacher, or the student of an objective: its loss is loaded by name."""
        own = OBJECTIVES[objective].modules if objective else ()
        return TRAIN, *own, *self._kernels

    def score(self) -> Modules:
        """Return the modules for scoring a corpus with a teacher."""
        return SCORE, *self._kernels

    def targets(self) -> Modules:
        """Return the modules for exporting targets."""
        return TARGETS, *self._kernels

    def evaluate(self) -> Modules:
        """Return the modules for evaluating a model: the metrics of the task are loaded by name."""
        return EVALUATE, *metric_modules(self.runs.experiment.task), *self._kernels

    def report(self) -> Modules:
        """Return the modules for the report."""
        return (REPORT,)

    def export(self) -> Modules:
        """Return the modules for exporting a student."""
        return (EXPORT,)
