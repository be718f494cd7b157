"""The code that each job uses: its stage, and the modules that the stage loads by name for this job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.artifacts.code_key import code_key
from tagdistill.data.readers.read import format_of
from tagdistill.distill.by_name import student_modules
from tagdistill.settings.names import FORMATS, PROVIDERS, SOURCES, module_of

if TYPE_CHECKING:
    from tagdistill.experiment.runs import Runs
    from tagdistill.settings.encoder import EncoderSettings

PREPARE = "tagdistill.data.prepare"
DATA_REPORT = "tagdistill.data.report"
CONVERT_ENCODER = "tagdistill.encoders.convert"
CONVERT_VECTORS = "tagdistill.encoders.convert_vectors"
ENCODE = "tagdistill.encoders.features"
TRAIN = "tagdistill.training.run"
SCORE = "tagdistill.distill.score_corpus"
TARGETS = "tagdistill.distill.target_table"
EVALUATE = "tagdistill.evaluation.evaluate"
REPORT = "tagdistill.reporting.report"
EXPORT = "tagdistill.export.bundle"


class CodeKeys:
    """The hashes of the code of the jobs of one experiment: a new one reruns the jobs that use the code."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._kernels = ("tagdistill.crf.chain",)

    def prepare(self, language: str, split: str) -> str:
        """Return the hash for reading one split: its source and its format are loaded by name."""
        settings = self.runs.languages[language]
        modules = [PREPARE, module_of(SOURCES, settings.source)]
        if settings.given(split) or settings.source != "demo":  # the demo has no files
            modules.append(module_of(FORMATS, format_of(settings, settings.split(split))))
        return code_key(*modules)

    def data_report(self) -> str:
        """Return the hash for data reports."""
        return code_key(DATA_REPORT)

    def convert_encoder(self, encoder: EncoderSettings) -> str:
        """Return the hash for converting an encoder: its provider is loaded by name."""
        return code_key(CONVERT_ENCODER, module_of(PROVIDERS, encoder.provider))

    def convert_vectors(self) -> str:
        """Return the hash for converting word vectors."""
        return code_key(CONVERT_VECTORS)

    def encode(self) -> str:
        """Return the hash for computing features."""
        return code_key(ENCODE)

    def train(self, objective: str | None = None) -> str:
        """Return the hash for training a teacher, or the student of an objective: its loss is loaded by name."""
        return code_key(TRAIN, *student_modules(objective), *self._kernels)

    def score(self) -> str:
        """Return the hash for scoring a corpus with a teacher."""
        return code_key(SCORE, *self._kernels)

    def targets(self) -> str:
        """Return the hash for exporting targets."""
        return code_key(TARGETS, *self._kernels)

    def evaluate(self) -> str:
        """Return the hash for evaluating a model."""
        return code_key(EVALUATE, *self._kernels)

    def report(self) -> str:
        """Return the hash for the report."""
        return code_key(REPORT)

    def export(self) -> str:
        """Return the hash for exporting a student."""
        return code_key(EXPORT)
