"""Files as the workflow writes them, small, for the fuzzer to damage."""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import tiny_runs
from synthetic_results import record

from tagdistill.training.run_training import run_training


@cache
def folder() -> Path:
    """Return a folder with a corpus, its features, a model trained on it, its scores and targets."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-files-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    encoder = tiny_runs.tiny_encoder(path)
    files = tiny_runs.encoded(tiny_runs.make_corpus(path, "aa", "train", 4), encoder)
    run_training(tiny_runs.teacher_run(path / "results" / "m", files, None, updates=2))
    tiny_runs.with_targets(path / "results" / "m" / "model", files, path, k=2)
    return path


def tagger_folder() -> Path:
    return folder() / "results" / "m" / "model"


def corpus_bytes() -> bytes:
    return (folder() / "aa" / "train.parquet").read_bytes()


def scores_bytes() -> bytes:
    return (folder() / "train.scores.parquet").read_bytes()


def targets_bytes() -> bytes:
    return (folder() / "train.targets.parquet").read_bytes()


def store_bytes() -> bytes:
    return (folder() / "aa" / "train.tiny.safetensors").read_bytes()


def metrics_bytes() -> bytes:
    gold = [["NOUN", "VERB"], ["X"]]
    return json.dumps(record("students/m/seed-0", "x", gold, gold)).encode()
