"""What a job's specification holds, and what not: a change in the config reruns the jobs that read it, no others."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tagdistill.artifacts.files import sha256_file, sha256_json
from tagdistill.encoders.keys import feature_key
from tagdistill.encoders.providers import path as local_folder
from tagdistill.errors import ConfigError
from tagdistill.experiment import layout, local_files
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.jobs import EncodeJob, EvaluateJob, PrepareJob, StudentJob, TeacherJob, read_job, write_job
from tagdistill.experiment.layout import JOBS, encoder_folder, output_of, place_of, shared
from tagdistill.experiment.mixture import Mixture
from tagdistill.experiment.plan import Plan
from tagdistill.settings.encoder import PieceStates
from tagdistill.settings.experiment import TEACHERS_ON_ALL
from tagdistill.settings.objectives import OBJECTIVES

BASE: dict[str, Any] = {
    "name": "study",
    "task": "ner",
    "labels": ["PER", "LOC"],
    "limit": {"train": 20, "test": 8},
    "languages": {
        "en": {"format": "conll", "train": "en/train.conll", "test": "en/test.conll", "unlabelled": "en/plain.txt"},
        "fr": {"format": "conll", "train": "fr/train.conll", "dev": "fr/dev.conll", "test": "fr/test.conll"},
        "sv": {"source": "ud", "format": "conllu", "treebank": "Swedish-Talbanken", "release": "r2.15"},
    },
    "zero_shot": {"de": {"source": "demo"}},
    "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
    "teacher": {"updates": 6, "seeds": [0, 1]},
    "student": {"updates": 8},
    "distill": {"objectives": ["baseline", "posterior"], "k": 4},
    "seeds": [0, 1],
}


@pytest.fixture(autouse=True)
def unread_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of data that are not there are known by their names."""
    monkeypatch.setattr(local_files, "_sha256", lambda x: sha256_file(x) if x.is_file() else sha256_json(str(x)))


def plan(**changes: Any) -> Plan:
    """Return the plan of the base settings with keys changed; a double underscore stands between levels."""
    values = copy.deepcopy(BASE)
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = values
        for folder in folders:
            place = place.setdefault(folder, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return Plan(check_experiment(values, "study.yaml"), Path("/project"))


def jobs(of: Plan) -> dict[str, str]:
    """Return every job of a plan by a name that says what it is."""
    splits = [(name, split) for name in of.runs.languages for split in of.runs.splits(name)]
    found = {f"prepare {' '.join(split)}": of.specs.prepare(*split) for split in splits}
    found |= {f"tokens {' '.join(split)}": of.specs.tokens(*split) for split in splits}
    found |= {f"encode {key}": of.specs.encode(key) for key in of.specs.encoders()}
    found |= {f"convert {key}": of.specs.convert_encoder(key.split("-tap")[0]) for key in of.specs.encoders()}
    teachers = [(str(model.teacher), model.decoder, model.seed) for model in of.runs.teachers]
    found |= {f"teach {' '.join(map(str, teacher))}": of.specs.teacher(*teacher) for teacher in teachers}
    found |= {f"student {o} {s}": of.specs.student(o, s) for o in of.runs.objectives for s in of.experiment.seeds}
    return found | {f"evaluate {model}": of.specs.evaluate(model) for model in of.runs.models}


def different(after: Plan, before: Plan | None = None) -> set[str]:
    """Return the first words of the jobs that are there before and after, and differ."""
    first, second = jobs(before or plan()), jobs(after)
    return {name for name in first.keys() & second.keys() if first[name] != second[name]}


def kinds(names: set[str]) -> set[str]:
    return {name.split()[0] for name in names}


def everything(value: Any) -> str:
    return json.dumps(value)


# -- what a change reaches


def test_the_same_settings_plan_the_same_jobs():
    assert different(plan()) == set()


@pytest.mark.parametrize(
    ("change", "reached"),
    [
        ({"languages__hi": {"source": "demo"}}, {"student", "evaluate"}),
        ({"languages__fr": ...}, {"student", "evaluate"}),
        ({"zero_shot__he": {"source": "demo"}}, {"evaluate"}),
        ({"distill__k": 9}, set()),  # the rule of the targets holds it
        ({"distill__temperature": 0.5}, {"student"}),
        ({"distill__anneal": {"from": 0.5}}, {"student"}),
        ({"distill__unlabelled_ratio": 0.5}, {"student"}),
        ({"distill__objectives": ["baseline", "posterior", "structural"]}, set()),
        ({"seeds": [0, 1, 2]}, set()),
        ({"teacher__seeds": [0, 1, 2]}, set()),
        ({"teacher__hidden": 3}, {"teach"}),
        ({"languages__fr__teacher": {"hidden": 3}}, {"teach"}),
        ({"student__hidden": 3}, {"student"}),
        ({"student__sampling": 0.3}, {"student"}),
        ({"limit__train": 5}, {"prepare", "tokens"}),
        ({"labels": ["PER"]}, {"prepare", "teach", "student"}),  # features depend on tokens alone
        ({"labels": ["LOC", "PER"]}, {"prepare", "teach", "student"}),
        ({"languages__fr__label_map": {"PERSON": "PER"}}, {"prepare"}),
        ({"languages__fr__encoding": "latin-1"}, {"prepare", "tokens"}),
        ({"languages__fr__columns": {"token": 1, "tag": -1}}, {"prepare", "tokens"}),
        ({"languages__fr__columns": {"token": 0, "tag": 2}}, {"prepare"}),
        ({"evaluate__decode": "unconstrained"}, {"evaluate", "teach", "student"}),  # dev is decoded as test is
        ({"evaluate__decode": "constrained"}, set()),  # the default of spans
        ({"name": "other"}, set()),
        ({"root": "/elsewhere"}, set()),
        ({"languages__fr__out_of_domain": True}, set()),
        ({"languages__fr__leave_out": "odd"}, set()),
        ({"languages__sv__sha256": {"train": "0" * 64}}, set()),  # the fetched file says whether its text changed
        ({"encoder__layers": 2}, set()),  # read when fine-tuning alone
        ({"encoder__freeze_embeddings": False}, set()),
        ({"device": "cuda"}, set()),  # where a job runs
        ({"kernel": "compiled"}, {"teach", "student", "evaluate"}),
        ({"languages__fr__licence": "CC0"}, set()),  # the report reads it
    ],
    ids=lambda value: "_".join(value) if isinstance(value, dict) else "",
)
def test_a_setting_reaches_the_jobs_that_read_it(change: dict[str, Any], reached: set[str]):
    assert kinds(different(plan(**change))) == reached


def test_a_setting_of_one_language_reaches_its_jobs_alone():
    assert different(plan(languages__fr__teacher={"hidden": 3})) == {"teach fr crf 0", "teach fr crf 1"}
    assert different(plan(languages__fr__scheme="IOB1")) == {f"prepare fr {s}" for s in ("train", "dev", "test")}
    assert different(plan(languages__fr__dev="fr/other.conll")) == set()  # its checksum says whether it is another
    cut = different(plan(limit__test=3))
    assert cut == {f"{job} {language} test" for job in ("prepare", "tokens") for language in ("en", "fr", "sv", "de")}


def test_how_dev_is_decoded_reaches_models_that_have_one_and_spans_alone():
    names = different(plan(evaluate__decode="unconstrained"))
    with_dev = {f"teach {language} crf {seed}" for language in ("fr", "sv") for seed in (0, 1)}
    assert {name for name in names if name.startswith("teach")} == with_dev
    tags = {"task": "pos", "labels": "upos"}
    assert not different(plan(evaluate__decode="constrained", **tags), plan(**tags))
    assert not different(plan(evaluate__decode="unconstrained", **tags), plan(**tags))


@pytest.mark.parametrize("task", ["ner", "aspect", "pos"])
@pytest.mark.parametrize("written", [None, "constrained", "unconstrained"])
def test_spans_are_well_formed_unless_the_config_says_otherwise_and_tags_are_free(task: str, written: str | None):
    values = {"task": task, "labels": "upos" if task == "pos" else ["PER"], "evaluate__decode": written}
    specs = plan(**values).specs
    expected = "unconstrained" if task == "pos" or written == "unconstrained" else "constrained"
    assert read_job(TeacherJob, specs.teacher("fr", "crf", 0)).decode == expected
    assert read_job(TeacherJob, specs.teacher("en", "crf", 0)).decode == "unconstrained"  # it has no dev set
    assert read_job(StudentJob, specs.student("baseline", 0)).decode == expected
    for model in ("teachers/en/crf/seed-0", "students/baseline/seed-0"):
        assert read_job(EvaluateJob, specs.evaluate(model)).decode == expected


@pytest.mark.parametrize(("key", "value"), [("comment", "#"), ("broken", "leave_out")])
def test_the_column_of_tags_decides_tokens_where_it_decides_what_is_left_out(key: str, value: str):
    def tokens(column: int, **keys: Any) -> str:
        return plan(languages__fr__columns={"token": 0, "tag": column}, **keys).specs.tokens("fr", "train")

    assert tokens(1) == tokens(2)
    chosen = {f"languages__fr__{key}": value}
    assert tokens(1, **chosen) != tokens(2, **chosen)


def test_a_dev_set_reaches_the_students_that_it_selects():
    names = different(plan(languages__en__dev="en/dev.conll"))
    assert kinds(names) == {"student", "teach"} and {name for name in names if name.startswith("teach")} == {
        f"teach en crf {seed}" for seed in (0, 1)
    }


def test_temperature_anneal_and_unlabelled_text_reach_the_objectives_that_use_them():
    every = {"distill__objectives": list(OBJECTIVES), "seeds": [0]}
    base = plan(**every)
    taught = {f"student {name} 0" for name, row in OBJECTIVES.items() if row.needs}
    tempered = {f"student {name} 0" for name, row in OBJECTIVES.items() if row.tempered}
    assert different(plan(**every, distill__temperature=0.5), base) == tempered
    annealed = taught - {"student pseudo_labels 0"}
    assert different(plan(**every, distill__anneal={"to": 0.5}), base) == annealed
    assert different(plan(**every, distill__unlabelled_ratio=2.0), base) == taught


HOT = {"name": "posterior-T2", "loss": "posterior", "temperature": 2.25, "unlabelled_ratio": 0}


def test_an_objective_with_settings_of_its_own_changes_no_other():
    more = plan(distill__objectives=["baseline", "posterior", HOT, {"loss": "top_k", "k": 1}])
    assert different(more) == set()
    assert [model.name for model in more.runs.students][4::2] == [
        "students/posterior-T2/seed-0",
        "students/top_k/seed-0",
    ]
    colder = plan(distill__objectives=["baseline", "posterior", HOT | {"temperature": 2}, {"loss": "top_k", "k": 1}])
    assert different(colder, more) == {"student posterior-T2 0", "student posterior-T2 1"}
    shared = {"distill__temperature": 0.5, "distill__unlabelled_ratio": 3.0}
    named = plan(distill__objectives=["posterior", HOT]), plan(distill__objectives=["posterior", HOT], **shared)
    assert different(*named) == {"student posterior 0", "student posterior 1"}


def test_the_job_of_an_objective_holds_its_own_settings_alone():
    objectives = [{"name": "flat", "loss": "top_k", "k": 1, "unlabelled_ratio": 2}, HOT, "baseline"]
    of = plan(distill__objectives=objectives, distill__temperature=0.5)
    job = read_job(StudentJob, of.specs.student("flat", 0))
    assert (job.objective, job.distill.names, job.distill.resolve("flat").row.name) == ("flat", ("flat",), "top_k")
    resolved = job.distill.resolve("flat")
    assert (resolved.k, resolved.unlabelled_ratio, resolved.temperature) == (1, 2.0, 1.0)
    hot = read_job(StudentJob, of.specs.student("posterior-T2", 0))
    assert hot.unlabelled_languages == ()
    assert hot.distill.resolve("posterior-T2").temperature == 2.25
    assert "flat" not in everything(of.specs.student("posterior-T2", 0))
    assert "unlabelled" not in of.student_inputs("posterior-T2", 0) and "unlabelled" in of.student_inputs("flat", 0)
    assert of.modules.student("flat")[1] == "tagdistill.distill.losses.top_k"


def test_own_settings_and_those_of_all_are_the_same_job_if_they_are_the_same():
    alike = plan(distill__objectives=["baseline", {"name": "posterior", "temperature": 0.5}])
    assert different(alike, plan(distill__temperature=0.5)) == set()


def test_a_plain_objective_is_told_what_it_always_was():
    job = json.loads(plan(distill__unlabelled_ratio=0.5).specs.student("posterior", 1))["distill"]
    assert job == {
        "objectives": ["posterior"],
        "k": 10,
        "temperature": 1.0,
        "anneal": {"from": 1.0, "to": 0.0, "tau": None},
        "unlabelled_ratio": 0.5,
        "gate": "soft",
        "teachers": {"own": 1.0},
    }


def test_with_epochs_all_objectives_have_the_same_number_of_updates():
    def ratios(**changes: Any) -> list[float]:
        changes = {"student": {"epochs": 3}, "distill__objectives": ["baseline", "softmax", "posterior"], **changes}
        of = plan(**changes)
        return [read_job(StudentJob, of.specs.student(name, 0)).updates_per_batch for name in of.runs.objectives]

    assert ratios(distill__unlabelled_ratio=1.5) == [2.5] * 3
    assert ratios() == [2.0] * 3 and ratios(distill__unlabelled_ratio=0) == [1.0] * 3
    assert ratios(distill__objectives=["baseline", HOT, {"loss": "top_k", "unlabelled_ratio": 2}]) == [3.0] * 3
    assert ratios(distill__objectives=["baseline", HOT]) == [1.0] * 2
    assert ratios(distill__objectives=["baseline", "softmax"]) == [1.0] * 2  # no objective reads unlabelled text
    assert ratios(languages__en__unlabelled=...) == [1.0] * 3  # and there is none
    assert ratios(student={"updates": 8}, distill__unlabelled_ratio=1.5) == [1.0] * 3  # the number is given


def test_a_ratio_of_nothing_leaves_the_unlabelled_text_out():
    job = read_job(StudentJob, plan(distill__unlabelled_ratio=0).specs.student("posterior", 0))
    assert job.unlabelled_languages == ()
    assert "unlabelled" not in plan(distill__unlabelled_ratio=0).student_inputs("posterior", 0)


# -- what a job holds


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


# -- files


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


# -- what experiments share


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


def made_and_read(of: Plan) -> tuple[set[str], set[str]]:
    """Return the files of a plan's results, each of which is there once, and the results that its jobs read."""
    results = list(of.files.results())
    places = [place for result in results for place in result.places]
    assert len(places) == len(set(places)) and {result.stage for result in results} <= set(JOBS)
    assert len({(result.stage, result.job) for result in results}) == len(results)
    read = [of.report_inputs(), of.repeats_inputs(), {"targets": of.teacher_targets()}]
    read += [of.test_inputs(name) for name in of.runs.models]
    read += [of.teacher_inputs(str(model.teacher)) for model in of.runs.teachers]
    read += [of.student_inputs(objective, 0) for objective in of.runs.objectives]
    read += [of.score_inputs(teacher, decoder, 0, x, split) for teacher, decoder, x, split in of.runs.scored]
    read += [of.target_inputs(x, decoder, split, mix) for decoder, x, split, mix in of.runs.targets]
    files = {file for inputs in read for paths in inputs.values() for file in paths if file.startswith("results/")}
    return {file for result in results for file in result.files}, files


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


def test_the_objectives_decide_which_teachers_there_are():
    assert plan(distill__objectives=["baseline", "softmax"]).runs.teacher_decoders == ()
    assert plan(distill__objectives=["token"]).runs.teacher_decoders == ("softmax",)
    assert plan(distill__objectives=["top_k", "token"]).runs.teacher_decoders == ("crf", "softmax")
    assert len(plan().runs.teachers) == 6


def test_an_objective_reads_targets_or_scores_or_neither():
    of = plan(distill__objectives=["baseline", "posterior", "structural"])
    assert set(of.student_inputs("baseline", 0)) == {"train", "train_features", "dev", "dev_features"}
    targets = of.files.targets("en", "crf", "unlabelled", Mixture.named("en"))
    assert of.student_inputs("posterior", 0)["unlabelled_targets"] == [targets]
    assert len(of.student_inputs("structural", 0)["train_scores"]) == 3
    assert "train_targets" not in of.student_inputs("structural", 0)


@pytest.mark.parametrize(
    ("asked", "number", "on_all"), [("auto", 2, True), ("auto", 30, False), ("all", 30, True), ("own", 2, False)]
)
def test_teachers_are_scored_on_all_languages_up_to_a_number(asked: str, number: int, on_all: bool):
    more = {f"l{n}": {"train": "x", "test": "y"} for n in range(number)}
    of = plan(languages=BASE["languages"] | more, evaluate__teachers=asked)
    assert (len(of.runs.tests_of(of.runs.models["teachers/fr/crf/seed-0"])) > 1) == on_all
    assert "fr" in of.runs.tests_of(of.runs.models["teachers/fr/crf/seed-0"])
    assert TEACHERS_ON_ALL == 20


def test_a_language_without_a_test_set_is_trained_and_not_scored():
    of = plan(languages__fr__test=...)
    assert of.runs.tested == ("en", "sv", "de") and "fr" in of.runs.trained


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


def test_a_teacher_whose_language_has_no_test_set_is_scored_elsewhere_only():
    own = {"en": {"train": "a.conll"}, "fr": {"train": "b.conll", "test": "c.conll"}}
    planned = plan(languages=own, zero_shot={}, evaluate={"teachers": "own"})
    assert planned.runs.tests_of(planned.runs.models["teachers/en/crf/seed-0"]) == ()
    assert planned.runs.tests_of(planned.runs.models["teachers/fr/crf/seed-0"]) == ("fr",)
