"""A whole run with a teacher of all languages, the average of it and each language's own, and zero-shot text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from projects import new_project

from tagdistill.artifacts.files import read_json
from tagdistill.data import demo
from tagdistill.distill.export_targets import targets_of
from tagdistill.distill.score_table import read_scores
from tagdistill.distill.target_table import read_targets


def experiment() -> dict[str, Any]:
    return {
        "name": "tiny",
        "task": "ner",
        "labels": ["PER", "LOC", "ORG"],
        "limit": {"train": 12, "test": 6, "unlabelled": 9},
        "languages": {x: {"source": "demo", "splits": ["train", "test"]} for x in ("en", "es")},
        "zero_shot": {"de": {"source": "demo", "unlabelled": {"path": "plain.txt", "format": "text"}}},
        "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
        "teacher": {"head": "linear", "updates": 3, "batch_words": 200},
        "teachers": {"all": {"mode": "finetune", "tune_from": 1, "updates": 4}},
        "student": {"head": "linear", "updates": 4, "batch_words": 200},
        "distill": {"objectives": ["posterior"], "teachers": {"own": 1, "all": 3}, "k": 2},
        "device": "cpu",
    }


@pytest.mark.slow
def test_a_run_with_an_average_of_teachers_and_text_of_a_zero_shot_language(tmp_path: Path):
    project = new_project(tmp_path / "project")
    tests = [" ".join(tokens) for tokens, _ in list(demo.sentences("de", "test"))[:3]]
    others = [" ".join(tokens) for tokens, _ in list(demo.sentences("uk", "test"))[:6]]
    (project.path / "plain.txt").write_text("\n".join(others + tests) + "\n", encoding="utf-8")
    done = project.run(experiment())
    assert done.returncode == 0, done.stdout[-4000:]
    results = project.path / "results/tiny"
    scores = [
        read_scores(results / f"teachers/{name}/crf/seed-0/scores/{text}train.parquet")
        for name, text in (("all", "es/"), ("es", ""))
    ]
    average = read_targets(results / "targets/es/crf/all@3+es/train.parquet")
    twins = [np.exp(targets_of(each, 2, {}).log_posterior.astype(float)) for each in scores]
    found = np.exp(average.log_posterior.astype(float))
    np.testing.assert_allclose(found, 0.75 * twins[0] + 0.25 * twins[1], atol=2e-3)
    assert average.metadata["weights"] == [0.75, 0.25]
    unlabelled = read_targets(results / "targets/de/crf/all/unlabelled.parquet")
    assert len(unlabelled.ids) == 6  # without the test sentences
    report = read_json(results / "data/de/report.json")["splits"]["unlabelled"]
    assert report["notes"]["sentences of test sets left out"]["count"] == 3
    assert read_json(results / "students/posterior/seed-0/model/config.json")["zero_shot_text"] == ["de"]
    assert read_json(results / "teachers/all/crf/seed-0/model/config.json")["languages"] == ["en", "es"]
    assert "not zero-shot in text" in (results / "report/index.html").read_text(encoding="utf-8")
    assert project.plan(experiment()).jobs == []

    more = experiment()
    more["languages"]["ru"] = {"source": "demo", "splits": ["train", "test"]}
    jobs = project.plan(more)
    assert jobs.of("train_teacher", "lang") == [("all",), ("ru",)]  # the other two stay
    seeds = experiment()
    seeds["teachers"]["all"]["seeds"] = [0, 1]
    seeds["student"] |= {"mode": "finetune", "tune_from": 1}  # the states of its frozen layers are there
    jobs = project.plan(seeds)
    assert jobs.count["train_teacher"] == jobs.count["train_student"] == 1 and "encode" not in jobs.count
    weights = experiment()
    weights["distill"]["teachers"] = ["own", "all"]
    assert project.plan(weights).count == {"export_targets": 2, "train_student": 1, "evaluate_student": 1, "report": 1}
