"""A whole run with out-of-fold teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from projects import new_project

from tagdistill.data.corpus import read_corpus
from tagdistill.distill.folds import folds_of
from tagdistill.distill.score_table import read_scores


def experiment() -> dict[str, Any]:
    return {
        "name": "tiny",
        "task": "ner",
        "labels": ["PER", "LOC", "ORG"],
        "limit": {"train": 12, "test": 6, "unlabelled": 9},
        "languages": {"en": {"source": "demo", "splits": ["train", "test", "unlabelled"]}},
        "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
        "teacher": {"head": "linear", "updates": 3, "batch_words": 200, "folds": 2},
        "student": {"head": "linear", "updates": 4, "batch_words": 200},
        "distill": {"objectives": ["posterior"], "k": 2},
        "device": "cpu",
    }


@pytest.mark.slow
def test_fine_tuned_teachers_of_folds_read_the_states_of_their_own_sentences(tmp_path: Path):
    project, values = new_project(tmp_path / "project"), experiment()
    values["teacher"] |= {"mode": "finetune", "tune_from": 1}
    done = project.run(values, "targets")
    assert done.returncode == 0, done.stdout[-4000:]
    scores = read_scores(project.path / "results/tiny/teachers/en/crf/seed-0/scores/train.parquet")
    assert scores.fold is not None and len(set(scores.metadata["fold_teachers"])) == 2


@pytest.mark.slow
def test_labelled_text_is_labelled_by_teachers_that_have_not_seen_it(tmp_path: Path):
    project = new_project(tmp_path / "project")
    planned = project.plan(experiment())
    assert planned.count["train_fold_teacher"] == 2 and planned.count["train_teacher"] == 1
    assert planned.count["score"] == 2
    done = project.run(experiment())
    assert done.returncode == 0, done.stdout[-4000:]
    teacher = project.path / "results/tiny/teachers/en/crf/seed-0"
    scores, unlabelled = (read_scores(teacher / f"scores/{split}.parquet") for split in ("train", "unlabelled"))
    tokens = read_corpus(project.path / "results/tiny/data/en/train.parquet").tokens
    assert scores.fold is not None and np.array_equal(scores.fold, folds_of(tokens, 2)) and unlabelled.fold is None
    assert scores.metadata["teacher_sha256"] == unlabelled.metadata["teacher_sha256"]
    assert len(set(scores.metadata["fold_teachers"])) == 2 and (teacher / "fold-1/model/config.json").is_file()
    assert "with folds, a teacher" in (project.path / "results/tiny/report/index.html").read_text(encoding="utf-8")
    assert project.plan(experiment()).jobs == []
    without = experiment()
    del without["teacher"]["folds"]
    jobs = project.plan(without)
    assert jobs.count == {"score": 1, "export_targets": 1, "train_student": 1, "evaluate_student": 1, "report": 1} | {
        "evaluate_teacher": 1  # its certainty on its training text
    }
