"""Small corpora that can be learned, and training runs on them, for the tests of models and training."""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.data.labels import label_list
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.distill.export_targets import export_targets
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.encoders.convert import convert
from tagdistill.encoders.features import encode
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.store import writing
from tagdistill.experiment.jobs import TeacherJob, write_job
from tagdistill.settings.distill import Distill
from tagdistill.settings.encoder import EncoderSettings, WordEncoder
from tagdistill.settings.training import StudentSettings, TeacherSettings
from tagdistill.training.checkpoints import COMPLETE, Checkpoints
from tagdistill.training.processes import Processes, torchrun
from tagdistill.training.run import Machine, Outputs, Run

TYPES = ("PER", "LOC")
LABELS = label_list("ner", TYPES)
WORDS = 6  # for each label
DIM = 10
TINY = EncoderSettings(provider="tiny", layers=3, tap=2)

logging.getLogger("filelock").setLevel(logging.WARNING)


def make_corpus(folder: Path, language: str, split: str, count: int, *, seed: int = 0, labelled: bool = True) -> Path:
    """Write a corpus in which every word determines its label."""
    rng = np.random.default_rng(sum(map(ord, language + split)) + 1000 * seed)
    tokens, labels = [], []
    for _ in range(count):
        tags: list[str] = []
        while len(tags) < rng.integers(1, 10):
            kind, length = rng.choice(["O", "O", *TYPES]), int(rng.integers(1, 4))
            inner = ["B", *["I"] * (length - 2), "E"] if length > 1 else ["S"]
            tags += ["O"] if kind == "O" else [f"{prefix}-{kind}" for prefix in inner]
        words = [f"{tag.lower()}{rng.integers(WORDS)}" for tag in tags]
        tokens.append(words)
        labels.append(tags)
    path = folder / language / f"{split}.parquet"
    write_corpus(
        path,
        ids=[f"{split}-{number:06}" for number in range(1, count + 1)],
        tokens=tokens,
        labels=labels if labelled else None,
        metadata={"language": language, "split": split, "task": "ner", "labels": list(LABELS), "licence": "CC0-1.0"},
    )
    return path


@functools.cache
def vector_of(word: str) -> np.ndarray:
    return np.random.default_rng(sum(ord(c) * 31**p for p, c in enumerate(word))).normal(3, 2, DIM).astype(np.float16)


def make_features(corpus: Path) -> Path:
    """Write a feature store beside a corpus: one fixed vector per word."""
    read = read_corpus(corpus)
    path = corpus.with_suffix(".safetensors")
    offsets = np.concatenate([[0], np.cumsum(read.lengths)]).astype(np.int64)
    made_with = {"encoder": encoder_key(TINY), "taps": [2], "pooling": "mean", "drop_bare_underline": True}
    with writing(path, offsets, DIM, {"tokens_sha256": read.tokens_sha256, **made_with}) as features:
        features[:] = [vector_of(word) for sentence in read.tokens for word in sentence]
    return path


def files_of(corpus: Path, *, features: bool = True) -> CorpusFiles:
    return CorpusFiles(read_corpus(corpus).language, corpus, make_features(corpus) if features else None)


def tiny_encoder(folder: Path) -> Path:
    """Return the converted tiny encoder, in a place where a model below `folder` finds it."""
    place = folder / "resources" / "encoders" / encoder_key(TINY)
    if not place.exists():
        convert(TINY, place)
    return place


def encoded(corpus: Path, encoder: Path) -> CorpusFiles:
    """Return the files of a corpus with features of the tiny encoder."""
    path = corpus.with_suffix(".tiny.safetensors")
    encode({"x": corpus}, encoder, TINY, {"x": path})
    return CorpusFiles(read_corpus(corpus).language, corpus, path)


def teacher_run(folder: Path, train: CorpusFiles, dev: CorpusFiles | None = None, **rest) -> Run:
    """Return a run of a small teacher; `rest` replaces what is common to runs or, if unknown there, settings."""
    common, settings = _common(folder, rest)
    return Run.for_teacher(TeacherSettings.model_validate(settings), [train], [dev] if dev else [], **common)


def student_run(folder: Path, train: list[CorpusFiles], dev: list[CorpusFiles] | None = None, **rest) -> Run:
    """Return a run of a small student; `rest` as in `teacher_run`, and `distill` as a dict."""
    unlabelled, objective = rest.pop("unlabelled", ()), rest.pop("objective", "posterior")
    distill = Distill.model_validate({"objectives": [objective], **rest.pop("distill", {})})
    gate = rest.pop("gate", None)
    common, settings = _common(folder, {"decoder": distill.resolve(objective).row.decoder, **rest})
    settings = StudentSettings.model_validate(settings)
    student = {"objective": objective, "distill": distill, "gate": gate}
    return Run.for_student(settings, train, dev or [], unlabelled, **student, **common)


def _common(folder: Path, rest: dict) -> tuple[dict, dict]:
    """Return the arguments of every run, and the settings of a small one."""
    common = {
        "task": "ner",
        "labels": LABELS,
        "decoder": "crf",
        "encoder": TINY,
        "seed": 0,
        "decode": "unconstrained",
        "encoder_folder": None,
        "outputs": outputs_in(folder),
        "machine": Machine(processes=rest.pop("processes", Processes())),
    }
    common |= {name: rest.pop(name) for name in common if name in rest}
    plain = {"hidden": 16, "dropout": 0.1, "batch_words": 60, "learning_rate": 3e-2, "evaluations": 4}
    length = {} if {"updates", "epochs"} & set(rest) else {"updates": 12}
    return common, {**plain, **length, **rest}


def outputs_in(folder: Path) -> Outputs:
    return Outputs(folder / "model", folder / "metrics.jsonl", folder / "training.json", folder / "checkpoints")


def with_targets(model: Path, files: CorpusFiles, folder: Path, k: int = 4) -> CorpusFiles:
    """Return the files of a corpus with the scores and targets of a teacher."""
    scores, targets = (folder / f"{files.corpus.stem}.{kind}.parquet" for kind in ("scores", "targets"))
    score_corpus(model, files, scores)
    export_targets(scores, targets, k)
    return CorpusFiles(files.language, files.corpus, files.features, targets, scores)


def train_command(run: Run) -> list[str]:
    """Return the arguments of tagdistill that train a teacher."""
    job = TeacherJob(
        languages=(run.train[0].language,),
        dev_languages=tuple(files.language for files in run.dev),
        task=run.task,
        labels=run.labels,
        decoder=run.decoder,
        settings=run.settings,
        encoder=WordEncoder(**run.encoder.model_dump()),
        seed=run.seed,
    )
    lists = {}
    for split, files in (("train", run.train), ("dev", run.dev)):
        lists[split] = [str(file.corpus) for file in files]
        lists[f"{split}_features"] = [str(file.features) for file in files if file.features]
    command = ["train-teacher", "--job", write_job(job), "--files", json.dumps(lists), "--device", "cpu"]
    for name in ("model", "log", "summary", "checkpoints"):
        command += [f"--{name}", str(getattr(run.outputs, name))]
    return [*command, *(["--encoder", str(run.encoder_folder)] if run.encoder_folder else [])]


def start(run: Run, *arguments: str, processes: int = 1, **environment: str) -> subprocess.Popen[bytes]:
    """Start the command that trains a teacher, in a group of its own."""
    tagdistill = torchrun(processes) if processes > 1 else [sys.executable, "-m", "tagdistill"]
    command = [*tagdistill, *train_command(run), *arguments]
    run.outputs.model.parent.mkdir(exist_ok=True)
    with (run.outputs.model.parent / "log.txt").open("w") as log:
        return subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True)


def wait_for_a_checkpoint(run: Run, process: subprocess.Popen[bytes], after: int, seconds: float = 60) -> None:
    """Wait until a run has saved a whole checkpoint after some update."""
    end = time.monotonic() + seconds
    while process.poll() is None and not any(
        int(path.parent.name.rpartition("-")[2]) > after for path in run.outputs.checkpoints.glob(f"*/{COMPLETE}")
    ):
        assert time.monotonic() < end
        time.sleep(0.005)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@contextmanager
def interrupted(monkeypatch, *, saves: set[int], at: int):
    """Save checkpoints after the updates `saves`, and kill the run after update `at`."""

    def due(self, update, updates):
        if update == at:
            raise Killed
        return update in saves

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "due", due)
        yield
