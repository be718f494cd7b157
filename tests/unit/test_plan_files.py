"""Where the files of a plan are, and what experiments share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from plans import BASE, made_and_read, plan, unread_data  # noqa: F401 (a fixture)

from tagdistill.artifacts.files import sha256_file
from tagdistill.errors import ConfigError
from tagdistill.experiment import layout
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.layout import output_of, place_of, shared
from tagdistill.experiment.mixture import Mixture
from tagdistill.experiment.plan import Plan


def test_files_are_where_the_design_says():
    of = plan()
    assert of.files.corpus("fr", "dev") == f"results/shared/data/fr/{of.keys.corpus('fr', 'dev')}/dev.parquet"
    assert place_of(of.files.targets("fr", "crf", "train", Mixture.named("fr"))) == "targets/fr/crf/train.parquet"
    assert place_of(of.scores("fr", "crf", "fr", "train")) == "teachers/fr/crf/seed-0/scores/train.parquet"
    key = next(iter(of.specs.encoders()))
    assert place_of(of.files.features(of.experiment.encoder, "fr", "dev")) == f"features/{key}/fr/dev.safetensors"
    assert place_of(of.metrics()[0]) == "metrics/students/baseline/seed-0/en.json"
    predictions = of.files.predictions(of.runs.models["teachers/fr/crf/seed-0"])
    assert place_of(predictions[0]) == "predictions/teachers/fr/crf/seed-0/en.conll"
    assert of.export("posterior", 1) == "results/study/export/posterior/seed-1"
    assert of.raw("sv", "train") == "resources/data/ud/Swedish-Talbanken/r2.15/train.conllu"
    assert of.raw("fr", "train") == "/project/fr/train.conll"
    assert of.raw("de", "test") is None


def test_the_first_seed_of_a_language_teaches():
    of = plan(languages__fr__teacher={"seeds": [5, 6]})
    assert place_of(of.scores("fr", "crf", "fr", "train")) == "teachers/fr/crf/seed-5/scores/train.parquet"
    assert place_of(of.scores("en", "crf", "en", "train")) == "teachers/en/crf/seed-0/scores/train.parquet"


def test_a_file_that_is_no_shared_result_has_no_place():
    assert place_of(shared("data/fr/dev.parquet", "0" * 16)) == "data/fr/dev.parquet"
    for file in ("results/study/data/fr/dev.parquet", "results/shared/data/fr/dev.parquet", "resources/x", "x"):
        assert place_of(file) is None


def keys_of(of: Plan) -> dict[str, str]:
    return {place: result.key for result in of.files.results() for place in result.places}


def reached(before: Plan, after: Plan) -> set[str]:
    """Return the stages of which some result is in both and has another key."""
    stages = {place: result.stage for result in before.files.results() for place in result.places}
    old, new = keys_of(before), keys_of(after)
    return {stages[place] for place in old.keys() & new.keys() if old[place] != new[place]}


STUDENTS = {"train_student", "evaluate_student"}


TEACHERS = {"train_teacher", "score", "export_targets", "evaluate_teacher"}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"name": "other"}, set()),
        ({"root": "/project/../project"}, set()),
        ({"device": "cuda"}, set()),
        ({"distill__temperature": 0.5}, STUDENTS),
        ({"distill__k": 5}, STUDENTS | {"export_targets"}),
        ({"student__hidden": 3}, STUDENTS),
        ({"teacher__hidden": 3}, STUDENTS | TEACHERS),
        ({"seeds": [0, 1, 2], "distill__objectives": ["baseline", "posterior", "structural"]}, set()),
        ({"limit__test": 3}, {"prepare", "data_report", "repeats", "encode", "evaluate_student", "evaluate_teacher"}),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, dict) else "",
)
def test_an_experiment_shares_what_its_settings_leave_alone(change: dict[str, Any], stages: set[str]):
    assert reached(plan(), plan(**change)) == stages


def test_the_results_of_a_plan_are_all_that_its_jobs_read_and_each_is_there_once():
    for changes in ({}, {"teacher": {"mode": "finetune", "updates": 1, "tune_from": 1}}, {"zero_shot": {}}):
        made, files = made_and_read(plan(**changes))
        assert files <= made
        stores = {file for file in made if "/features/" in file}
        assert stores == {file for file in files if "/features/" in file}  # none is made that nobody reads


def test_the_feature_stores_of_a_language_are_one_result_and_what_reads_one_is_known_by_that_one():
    of, other = plan(), plan(limit__test=3)
    (encode,) = [result for result in of.files.results() if result.stage == "encode" and "fr" in result.job]
    assert [place.rpartition("/")[2] for place in encode.places] == [
        f"{x}.safetensors" for x in ("train", "dev", "test")
    ]
    assert len({output_of(file) for file in encode.files}) == 1
    before, now = of.teacher_inputs("fr"), other.teacher_inputs("fr")
    assert before["train_features"] != now["train_features"]  # the folder has another key
    assert of.keys.teacher("fr", "crf", 0) == other.keys.teacher("fr", "crf", 0)
    (features,) = of.specs.encoders()
    stores, changed = (x.files.stores(features, "fr") for x in (of, other))
    assert {split for split in stores if stores[split] != changed[split]} == {"test"}


def test_a_key_tells_what_is_its_own():
    of = plan()
    made = {result.stage: result.made_of for result in of.files.results()}
    assert [json.loads(made["train_student"][0])["objective"], len(made["train_student"])] == ["posterior", 2]
    assert made["export_targets"][:2] == ("4", "torch") and len(made["score"]) == 1
    (sha256,) = (part for part in of.keys.made[of.keys.corpus("fr", "dev")] if len(part) == 64)
    assert sha256 == of.raw_sha256("fr", "dev")


def test_a_log_and_a_benchmark_are_those_of_one_result():
    result = next(x for x in plan().files.results() if x.stage == "score")
    assert result.benchmark == f"benchmarks/shared/score/en-crf-0-train.{result.key}.tsv"
    assert layout.own_benchmark("study", result.benchmark) == "benchmarks/study/score/en-crf-0-train.tsv"
    assert layout.own_benchmark("study", "benchmarks/study/report/report.tsv") == "benchmarks/study/report/report.tsv"


@pytest.mark.parametrize("name", ["shared", "Shared"])
def test_no_experiment_is_called_shared(name: str):
    with pytest.raises(ConfigError, match="name: no experiment can be called"):
        plan(name=name)


def test_a_missing_file_is_named_with_the_config_and_the_key(tmp_path: Path):
    of = Plan(check_experiment(BASE, "study.yaml"), tmp_path)
    with pytest.raises(ConfigError) as caught:
        of.check_files("study.yaml")
    assert str(caught.value).startswith(f"study.yaml: languages.en.train: no such file: {tmp_path}/en/train.conll")
    for language in ("en", "fr"):
        (tmp_path / language).mkdir()
        for name in ("train.conll", "dev.conll", "test.conll", "plain.txt"):
            (tmp_path / language / name).touch()
    of.check_files("study.yaml")
    (tmp_path / "fr/test.conll").unlink()
    (tmp_path / "fr/test.conll").mkdir()
    with pytest.raises(ConfigError, match=r"languages\.fr\.test"):
        of.check_files("study.yaml")


def test_a_file_below_the_working_folder_keeps_its_relative_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    experiment = check_experiment(BASE | {"root": "data"}, "study.yaml")
    assert Plan(experiment, tmp_path).raw("fr", "train") == "data/fr/train.conll"
    assert Plan(experiment, Path("/project")).raw("fr", "train") == "/project/data/fr/train.conll"
    elsewhere = check_experiment(BASE | {"root": "/data"}, "study.yaml")
    assert Plan(elsewhere, tmp_path).raw("fr", "train") == "/data/fr/train.conll"


def test_the_content_of_a_given_file_is_known_and_not_its_time(tmp_path: Path):
    of = Plan(check_experiment(BASE, "study.yaml"), tmp_path)
    (tmp_path / "fr").mkdir()
    file = tmp_path / "fr/train.conll"
    file.write_text("Ada B-PER\n", encoding="utf-8")
    os.utime(file, (1e9, 1e9))
    assert of.raw_sha256("fr", "train") == sha256_file(file)
    assert of.raw_sha256("sv", "train") is None and of.raw_sha256("de", "test") is None
