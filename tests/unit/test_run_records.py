"""What a training run is made of, and what is written of it: every value."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import LABELS, TINY, files_of, make_corpus, outputs_in, student_run, teacher_run

from tagdistill.artifacts.provenance import versions
from tagdistill.crf import kernel
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.settings.distill import Distill
from tagdistill.settings.training import StudentSettings, TeacherSettings
from tagdistill.training.checkpoints import Best
from tagdistill.training.outputs import model_config, summary
from tagdistill.training.processes import Processes
from tagdistill.training.run import Machine, Run
from tagdistill.training.sums import Sums
from tagdistill.training.trainer import TrainingOutcome

LINES = [
    {"update": 2, "loss": 3.0, "words_per_second": 40.0, "clipped": 1.0},
    {"update": 2, "dev": {"macro": 50.0}},
    {"update": 4, "loss": 2.0, "words_per_second": 10.0, "clipped": 0.5},
    {"update": 4, "dev": {"macro": 61.5}},
    {"update": 6, "dev": {"macro": 50.0}},
    {"update": 6, "loss": 1.0, "words_per_second": 30.0, "clipped": 0.0},
]


def corpora(folder: Path) -> list[CorpusFiles]:
    return [CorpusFiles(name, make_corpus(folder, name, "train", 2)) for name in ("aa", "bb")]


@pytest.mark.parametrize("best", [Best(61.5, 4), None])
def test_the_summary_tells_how_a_training_went(best, tmp_path):
    run = student_run(tmp_path, corpora(tmp_path), objective="posterior", seed=3, processes=Processes(0, 2))
    model = torch.nn.Linear(2, 3)
    model.bias.requires_grad = False
    model.tagger = SimpleNamespace(mix=None)
    parts = SimpleNamespace(model=model, updates=[None] * 7, words_without_vector=None)
    outcome = TrainingOutcome(LINES, best, 12.345)
    expected = {
        "updates": 7,
        "seconds": 12.3,
        "words_per_second": 30.0,
        "clipped": 0.5,
        "best_update": 4 if best else 7,
        "dev": 61.5 if best else None,
        "dev_scores": {"macro": 61.5} if best else {"macro": 50.0},
        "parameters": 6,
        "device": "cpu",
        "threads": 1,
        "kernel": kernel(),
        "processes": 2,
        "seed": 3,
        "objective": "posterior",
        "fingerprint": "f",
        "versions": versions(),
    }
    assert summary(run, parts, outcome, "f") == expected
    nothing = summary(run, parts, TrainingOutcome([], best, 12.345), "f")
    assert nothing == expected | {"words_per_second": None, "clipped": None, "dev_scores": None}
    parts.words_without_vector = 5
    assert summary(run, parts, outcome, "f") == expected | {"words_without_vector": 5}


def test_the_config_of_a_model_tells_what_it_was_trained_on(tmp_path):
    files = corpora(tmp_path)
    run = student_run(tmp_path, files, objective="posterior", seed=3)
    assert model_config(run, {"aa": "teacher"}) == {
        "task": "ner",
        "labels": list(LABELS),
        "decoder": "crf",
        "objective": "posterior",
        "languages": ["aa", "bb"],
        "zero_shot_text": [],
        "licences": {"aa": "CC0-1.0", "bb": "CC0-1.0"},
        "corpora": {each.language: read_corpus(each.corpus).metadata["corpus_sha256"] for each in files},
        "encoder": TINY.model_dump(mode="json"),
        "mode": "frozen",
        "training": run.settings.model_dump(mode="json"),
        "distill": run.distill.model_dump(mode="json"),
        "seed": 3,
        "kernel": kernel(),
        "versions": versions(),
        "teachers": {"aa": "teacher"},
        "gate": None,
    }
    plain = files_of(make_corpus(tmp_path, "cc", "unlabelled", 3, labelled=False))
    assert model_config(replace(run, unlabelled=[files[0], plain]), {})["zero_shot_text"] == ["cc"]
    gated = replace(run, gate={"aa": 0.5, "bb": 1.0})
    assert model_config(gated, {})["gate"] == {"aa": 0.5, "bb": 1.0}
    baseline = student_run(tmp_path, files, objective="baseline")
    assert model_config(baseline, {})["distill"] is None
    assert model_config(teacher_run(tmp_path, files[0]), {})["objective"] is None


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_a_run_holds_what_it_is_made_of(kind, tmp_path):
    train, dev, text = (CorpusFiles("aa", tmp_path / name) for name in ("train", "dev", "text"))
    common = {
        "task": "ner",
        "labels": LABELS,
        "decoder": "softmax",
        "encoder": TINY,
        "seed": 5,
        "outputs": outputs_in(tmp_path),
        "encoder_folder": tmp_path / "encoder",
        "machine": Machine("cuda", 3),
        "decode": "constrained",
    }
    if kind == "teacher":
        settings = TeacherSettings(updates=3)
        run = Run.for_teacher(settings, [train], [dev], fold=(1, 4), **common)
        own = {"unlabelled": (), "objective": None, "distill": None, "updates_per_batch": 1.0, "gate": None}
        own["fold"] = 1, 4
        assert Run.for_teacher(settings, [train], [dev], **common).fold is None
    else:
        settings, distill = StudentSettings(updates=3), Distill(objectives=["token"])
        student = {"objective": "token", "distill": distill}
        run = Run.for_student(
            settings, [train], [dev], [text], updates_per_batch=2.5, gate={"aa": 0.5}, **student, **common
        )
        own = {"unlabelled": [text], "updates_per_batch": 2.5, "gate": {"aa": 0.5}, "fold": None, **student}
        assert Run.for_student(settings, [train], [dev], [], **student, **common).updates_per_batch == 1.0
    assert vars(run) == {"settings": settings, "train": [train], "dev": [dev], **own, **common}


def test_a_line_of_the_log_has_the_means_over_the_updates_that_had_each_part(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 8.0)  # a clock that stands: the test takes no time of its own
    sums = Sums(seconds=2.0, began=7.0)
    parts = {"gold": torch.tensor(4.0), "teacher": torch.tensor(6.0)}
    for weight, words in ((1.0, 30), (0.5, 40), (0.0, 30)):  # of the teacher alone, of both, of gold alone
        sums.add(torch.tensor(10.0), parts, weight, 1.0, words)
        sums.count(torch.tensor(weight), 0.75)
    line = sums.line(Processes(), "cpu")
    assert (line["loss"], line["gold"], line["teacher"]) == (10.0, 12.0 / 2, 18.0 / 2)
    assert line["clipped"] == pytest.approx(1 / 3)
    assert line["words_per_second"] == 33.3  # 100 in 3 seconds
