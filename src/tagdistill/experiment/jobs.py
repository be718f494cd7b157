"""Job specifications: exactly the settings that the result of a job depends on, and no others.

A job travels as JSON in a rule's `params`, so a changed value reruns the jobs that read it and nothing upstream. Where
a job runs (device, threads) and where it finds its files are no part of it: they must not retrain anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from tagdistill.errors import ConfigError
from tagdistill.settings.base import Decode, Decoder, Kernel, Settings
from tagdistill.settings.distill import Distill
from tagdistill.settings.encoder import EncoderSettings, PieceStates, Vectors, WordEncoder
from tagdistill.settings.language import Language
from tagdistill.settings.training import SharedTeacherSettings, StudentSettings, TeacherSettings
from tagdistill.settings.validation import validate

Job = TypeVar("Job", bound=Settings)


class PrepareJob(Settings):
    """One split of one language, from its file to a corpus."""

    language: str
    split: str
    settings: Language
    task: str
    labels: Literal["upos"] | tuple[str, ...]
    limit: int | None = None
    without_tests_of: tuple[str, ...] = Field((), description="languages whose test sentences are left out")

    def reading(self, path: str | None) -> Language:
        """Return the settings of the language with the path of the split's own file, for messages."""
        given = self.settings.split(self.split)
        if path is None or given is None:
            return self.settings
        return self.settings.model_copy(update={self.split: given.model_copy(update={"path": path})})


class EncodeJob(Settings):
    """The features of one language, or the states of its pieces."""

    encoder: PieceStates | EncoderSettings


class TeacherJob(Settings):
    """One teacher: nothing here knows of a language that it is not trained on."""

    languages: tuple[str, ...]
    dev_languages: tuple[str, ...] = ()
    task: str
    labels: tuple[str, ...]
    decoder: Decoder
    settings: TeacherSettings | SharedTeacherSettings  # a shared one has keys that the other lacks
    encoder: WordEncoder
    seed: int
    fold: int | None = Field(None, description="of `settings.folds`: the part that is left out; None: all is read")
    decode: Decode = "unconstrained"  # of dev, if there is one
    kernel: Kernel = "torch"


class VectorsJob(Settings):
    """Word vectors of one file."""

    vectors: Vectors


class StudentJob(Settings):
    """One student of all languages."""

    languages: tuple[str, ...]
    dev_languages: tuple[str, ...] = ()
    unlabelled_languages: tuple[str, ...] = ()
    task: str
    labels: tuple[str, ...]
    decoder: Decoder
    objective: str
    settings: StudentSettings
    distill: Distill
    shares: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="weights of the teachers whose scores are read, of languages with several"
    )
    gated: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="teachers of each language and their weights, where the gate is soft"
    )
    updates_per_batch: float = Field(1.0, description="with `epochs`: in an epoch, for each labelled batch")
    encoder: EncoderSettings
    seed: int
    decode: Decode = "unconstrained"  # of dev, if there is one
    kernel: Kernel = "torch"


class EvaluateJob(Settings):
    """One model on all its languages, in the order of its files; those in `zero_shot` were not trained."""

    model: str = Field(description="students/OBJECTIVE/seed-S or teachers/LANG/DECODER/seed-S")
    languages: tuple[str, ...]  # a list, not keys: JSON objects are written sorted, and files are matched by place
    zero_shot: tuple[str, ...] = ()
    own: str | None = Field(None, description="a teacher's language, if its scores of its training text are read too")
    decode: Decode = "unconstrained"
    kernel: Kernel = "torch"

    @property
    def roles(self) -> dict[str, Literal["trained", "zero_shot"]]:
        """Whether each language was trained."""
        return {name: "zero_shot" if name in self.zero_shot else "trained" for name in self.languages}


def read_job(model: type[Job], text: str) -> Job:
    """Return the job in a JSON text, or in the file that @NAME names. Raises ConfigError for anything else."""
    try:
        values = json.loads(read_argument(text))
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error}", where="--job") from error
    return validate(model, values, "--job")


def read_argument(text: str) -> str:
    """Return an argument that is a text, or @NAME for the file that holds it."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=text[1:]) from error


def write_job(job: Settings) -> str:
    """Return a job as one line of JSON: equal jobs, equal text. Defaults are written out: they may change one day."""
    return json.dumps(job.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
