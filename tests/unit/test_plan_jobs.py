"""What the specification of a job holds, and what not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from plans import BASE, different, everything, kinds, plan, unread_data  # noqa: F401 (a fixture)

from tagdistill.encoders.keys import feature_key
from tagdistill.encoders.providers import path as local_folder
from tagdistill.errors import ConfigError
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.jobs import EncodeJob, EvaluateJob, PrepareJob, StudentJob, TeacherJob, read_job, write_job
from tagdistill.experiment.layout import encoder_folder, place_of
from tagdistill.experiment.plan import Plan
from tagdistill.settings.encoder import PieceStates


def test_test_sets_reach_training_text_where_their_sentences_are_left_out_of_it():
    def key(of: Plan) -> tuple[str, ...]:
        return of.keys.corpus("es", "train"), of.keys.text("en", "unlabelled"), of.keys.corpus("es", "test")

    # A smaller test set: with the setting, what is left out of training text changes.
    demo = {name: {"source": "demo"} for name in ("en", "es")}
    plain, smaller = plan(languages=demo), plan(languages=demo, limit__test=7)
    assert key(plain)[:2] == key(smaller)[:2] and key(plain)[2] != key(smaller)[2]
    strict = plan(languages=demo, exclude_test_repeats=True)
    stricter = plan(languages=demo, exclude_test_repeats=True, limit__test=7)
    assert all(one != two for one, two in zip(key(strict), key(stricter), strict=True))
    assert key(strict)[:2] != key(plain)[:2] and key(strict)[2] == key(plain)[2]
    tests = [strict.files.corpus(language, "test") for language in ("en", "es", "de")]
    assert [place_of(test) for test in tests] == [f"data/{language}/test.parquet" for language in ("en", "es", "de")]
    assert strict.left_out_tests("en", "train") == strict.left_out_tests("es", "unlabelled") == sorted(tests)
    turned = plan(languages=dict(reversed(demo.items())), exclude_test_repeats=True)
    assert key(turned) == key(strict)  # the order of languages changes no text
    assert strict.left_out_tests("en", "dev") == plain.left_out_tests("en", "train") == []
    assert strict.left_out_tests("en", "test") == []
    assert plain.repeats_inputs()["tests"] == strict.repeats_inputs()["tests"] == tests
    assert plain.keys.repeats() != smaller.keys.repeats()


def test_test_sentences_are_looked_for_in_text_that_a_student_learns_from_alone():
    def seen(of: Plan) -> list[str | None]:
        return [place_of(file) for file in of.repeats_inputs()["seen"]]

    labelled = [f"data/{language}/train.parquet" for language in ("en", "fr", "sv")]
    assert sorted(map(str, seen(plan()))) == sorted([*labelled, "data/en/unlabelled.parquet"])
    unread: list[dict[str, Any]] = [{"distill__unlabelled_ratio": 0}, {"distill__objectives": ["baseline"]}]
    for changes in unread:
        assert seen(plan(**changes)) == labelled and plan(**changes).keys.repeats() != plan().keys.repeats()
    read = [{"loss": "top_k", "unlabelled_ratio": 1}, "baseline"]  # by one objective of several
    one = plan(distill__unlabelled_ratio=0, distill__objectives=read)
    assert seen(one) == seen(plan()) and one.keys.repeats() == plan().keys.repeats()


def test_a_teacher_knows_of_nothing_but_its_language():
    job = json.loads(plan(languages__fr__teacher={"hidden": 3}).specs.teacher("fr", "crf", 1))
    assert (job["languages"], job["seed"], job["settings"]["hidden"]) == (["fr"], 1, 3)
    assert job["labels"] == ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]
    text = everything(job)
    for foreign in ('"en"', '"sv"', '"de"', "objective", '"k"', "temperature", "anneal", "zero_shot", "distill"):
        assert foreign not in text
    assert job["settings"]["seeds"] == [0]  # how many others there are is not its business


def test_a_prepared_split_knows_of_nothing_but_itself():
    job = json.loads(plan(languages__fr__teacher={"hidden": 3}).specs.prepare("fr", "dev"))
    assert job["settings"]["dev"] is not None and job["settings"]["dev"]["path"] is None
    assert [job["settings"][split] for split in ("train", "test", "unlabelled")] == [None] * 3
    assert job["settings"]["teacher"] == {} and job["limit"] is None
    assert '"en"' not in everything(job)


def test_a_download_knows_of_nothing_but_its_file():
    ask = "ud/Swedish-Talbanken/r2.15/train.conllu"
    job = plan().download(ask)
    others = {"name": "x", "limit": {"train": 3}, "labels": ["LOC"], "languages__sv__label_map": {"a": "LOC"}}
    assert plan(**others).download(ask) == job
    assert plan(languages__sv__sha256={"train": "0" * 64, "dev": "1" * 64}).download(ask) != job
    assert plan(languages__sv__sha256={"dev": "1" * 64}).download(ask) == job
    settings = read_job(PrepareJob, job).settings
    assert (settings.source, settings.treebank, settings.release) == ("ud", "Swedish-Talbanken", "r2.15")


def test_a_student_holds_its_languages_in_order():
    job = read_job(StudentJob, plan().specs.student("posterior", 1))
    assert job.languages == ("en", "fr", "sv")
    assert job.dev_languages == ("fr", "sv")
    assert job.unlabelled_languages == ("en",)
    assert job.distill.objectives == ("posterior",)


def test_an_evaluation_says_which_languages_were_trained():
    student = read_job(EvaluateJob, plan().specs.evaluate("students/posterior/seed-0"))
    assert student.roles == {"en": "trained", "fr": "trained", "sv": "trained", "de": "zero_shot"}
    assert student.own is None
    assert read_job(EvaluateJob, plan().specs.evaluate("teachers/fr/crf/seed-0")).own == "fr"
    assert read_job(EvaluateJob, plan().specs.evaluate("teachers/fr/crf/seed-1")).own is None  # it does not teach
    files = plan().test_inputs("teachers/fr/crf/seed-0")
    assert [place_of(file) for file in files["own_scores"]] == ["teachers/fr/crf/seed-0/scores/train.parquet"]
    assert {name for name in files if name.startswith("own")} == {"own", "own_scores"}
    assert "own" not in plan().test_inputs("teachers/fr/crf/seed-1")


def test_a_fine_tuned_teacher_reads_the_encoder_and_the_states_of_its_frozen_layers():
    tuned = plan(teacher__mode="finetune", teacher__tune_from=1)
    assert set(tuned.teacher_inputs("fr")) == {"train", "dev", "train_states", "dev_states", "encoder"}
    assert set(tuned.score_inputs("fr", "crf", 0, "fr", "train")) == {"model", "corpus", "states", "encoder"}
    tests = tuned.test_inputs("teachers/fr/crf/seed-0")
    assert [len(tests[name]) for name in ("test", "test_states")] == [4, 4] and "test_features" not in tests
    (states,) = tuned.teacher_inputs("fr")["train_states"]
    key = feature_key(PieceStates(provider="tiny", tap=1))
    assert place_of(states) == f"features/{key}/fr/train.safetensors" and key.endswith("-tap1-none")
    assert read_job(EncodeJob, tuned.specs.encode(key)).encoder == PieceStates(provider="tiny", tap=1)
    assert states in {file for result in tuned.files.results() for file in result.files}
    deeper = plan(teacher__mode="finetune", teacher__tune_from=1, encoder__layers=2, encoder__pooling="first")
    assert deeper.teacher_inputs("fr")["train_states"] == [states]  # none of these decides what is frozen
    # Nothing is stored where no layer is frozen.
    for settings in ({"teacher__tune_from": 0}, {"teacher__tune_from": 1, "encoder__freeze_embeddings": False}):
        whole = plan(teacher__mode="finetune", **settings)
        assert set(whole.teacher_inputs("fr")) == {"train", "dev", "encoder"}
    assert tuned.teacher_inputs("fr")["encoder"] == [encoder_folder(tuned.experiment.encoder)]
    assert kinds(different(plan(teacher__mode="finetune", teacher__tune_from=1, encoder__tap=1), tuned)) == {"student"}
    assert kinds(different(plan(teacher__mode="finetune", teacher__tune_from=1, encoder__layers=2), tuned)) == {"teach"}


def test_states_of_a_text_are_stored_once_for_all_models_that_keep_the_same_layers_frozen():
    def stored(**changes: Any) -> set[str]:
        tuned = plan(teacher__mode="finetune", teacher__tune_from=1, **changes)
        return {file for result in tuned.files.results() if result.stage == "encode" for file in result.files}

    students = {"student__mode": "finetune", "student__tune_from": 1}
    both = stored(**students)
    assert all("-tap1-none/" in file for file in both)
    assert len(both) == 3 + 3 + 3 + 1  # train, dev or unlabelled text, test; test of de
    assert stored(**students, seeds=[0, 1, 2], distill__objectives=["posterior", "top_k"]) == both
    deeper = stored(**students | {"student__tune_from": 2})
    assert both < deeper and all("-tap2-none/" in file for file in deeper - both)


def test_a_teacher_with_an_encoder_of_its_own_reads_its_features():
    other = plan(languages__fr__teacher={"encoder": {"provider": "tiny", "tap": 1}})
    assert len(other.specs.encoders()) == 2
    (features,) = other.teacher_inputs("fr")["train_features"]
    assert "tap1" in features and str(place_of(features)).endswith("/fr/train.safetensors")
    assert "tap2" in other.student_inputs("baseline", 0)["train_features"][1]
    assert all("tap1" in file for file in other.test_inputs("teachers/fr/crf/seed-0")["test_features"])


def test_a_layer_that_the_encoder_has_not_is_refused_before_anything_runs(tmp_path: Path):
    values = {**BASE, "languages": {"en": {"source": "demo"}}, "zero_shot": {}}

    def refused(**changes: Any) -> str:
        experiment = check_experiment({**values, **changes}, "study.yaml")
        with pytest.raises(ConfigError) as caught:
            Plan(experiment, tmp_path).check_files("study.yaml")
        return str(caught.value)

    assert refused(encoder={"provider": "tiny", "tap": 5}) == (
        "study.yaml: encoder.tap: layer 5, but this encoder has 4 layers"
    )
    assert "study.yaml: encoder.tap: layer 13" in refused(encoder={"provider": "wheel", "tap": [1, 13]})
    tuned = {"mode": "finetune", "updates": 1}
    assert "study.yaml: encoder.layers: layer 8" in refused(teacher=tuned, encoder={"provider": "tiny", "tap": 1})
    own = {"provider": "tiny", "tap": 9}
    assert "teacher.encoder.tap: layer 9" in refused(teacher={"updates": 1, "encoder": own})
    language = {"source": "demo", "teacher": {"encoder": own}}
    assert "languages.en.teacher.encoder.tap" in refused(languages={"en": language})
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"n_layers": 6}', encoding="utf-8")
    assert "has 6 layers" in refused(encoder={"provider": "path", "id": "model", "tap": 7})


def test_graphs_that_the_encoder_has_not_are_refused_or_warned_of_before_anything_runs(tmp_path: Path):
    model = tmp_path / "model"
    model.mkdir()
    values = {**BASE, "languages": {"en": {"source": "demo"}}, "zero_shot": {}}
    values["encoder"] = {"provider": "path", "id": "model", "tap": 1}

    def planned(kind: str, activation: str = "gelu", **export: Any) -> Plan:
        config = {"model_type": kind, "num_hidden_layers": 2, "hidden_act": activation}
        (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
        changes = {"export": export} if export else {}
        return Plan(check_experiment({**values, **changes}, "study.yaml"), tmp_path)

    for made in (planned("electra", formats=["int8"]), planned("bert", "silu", formats=["torch", "fp32"])):
        with pytest.raises(ConfigError, match=r"(?s)study\.yaml: export\.formats: a .*Use `formats: \[torch\]`"):
            made.check_files("study.yaml")
    for made in (planned("electra", formats=["torch"]), planned("xlm-roberta", formats=["int8"]), planned("bert")):
        made.check_files("study.yaml")
        assert made.local.warnings(made.runs, "study.yaml") == []
    made = planned("electra")  # nobody may ever export it
    made.check_files("study.yaml")
    (warning,) = made.local.warnings(made.runs, "study.yaml")
    assert warning.startswith("warning: students cannot be exported as it stands: a 'electra' encoder")


def test_a_local_encoder_is_named_by_its_content_and_starts_at_root(tmp_path: Path):
    model = tmp_path / "data/models/small"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    values = BASE | {"root": "data", "encoder": {"provider": "path", "id": "models/small"}}

    def key() -> str:
        local_folder._revision.cache_clear()
        of = Plan(check_experiment(values, "study.yaml"), tmp_path)
        folder = encoder_folder(of.experiment.encoder)
        jobs = of.specs.convert_encoder(folder.rsplit("/", 1)[1]) + of.specs.teacher("fr", "crf", 0)
        assert str(tmp_path) not in jobs and "models" not in jobs
        return folder

    first = key()
    os.utime(model / "model.safetensors", (1e9, 1e9))
    (model / "pytorch_model.bin").write_bytes(b"not read")
    (model / "README.md").write_text("A model card.", encoding="utf-8")
    assert key() == first
    model.rename(tmp_path / "data/models/large")
    values["encoder"]["id"] = "models/large"
    assert key() == first
    model = tmp_path / "data/models/large"
    (model / "model.safetensors").write_bytes(b"WEIGHTS")
    assert key() != first
    values["encoder"] = {"provider": "path", "id": "models/none"}
    with pytest.raises(ConfigError) as caught:
        Plan(check_experiment(values, "study.yaml"), tmp_path).check_files("study.yaml")
    assert str(caught.value).startswith(f"study.yaml: encoder.id: no such file or folder: {tmp_path}/data/models/none")


def test_jobs_survive_their_way_through_json():
    of = plan()
    for model, text in (
        (PrepareJob, of.specs.prepare("fr", "train")),
        (EncodeJob, of.specs.encode(next(iter(of.specs.encoders())))),
        (TeacherJob, of.specs.teacher("fr", "crf", 0)),
        (StudentJob, of.specs.student("posterior", 0)),
        (EvaluateJob, of.specs.evaluate("students/baseline/seed-0")),
    ):
        assert write_job(read_job(model, text)) == text
        assert "\n" not in text
    with pytest.raises(ConfigError, match="--job: not JSON"):
        read_job(TeacherJob, "{")
    with pytest.raises(ConfigError, match="--job: sed: unknown key"):
        read_job(TeacherJob, of.specs.teacher("fr", "crf", 0).replace('"seed":', '"sed":'))
