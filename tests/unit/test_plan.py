"""What is planned: which models there are, and that a change in the config reruns the jobs that read it, no others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plans import BASE, HOT, different, everything, kinds, plan, unread_data  # noqa: F401 (a fixture)

from tagdistill.experiment.jobs import EvaluateJob, StudentJob, TeacherJob, read_job
from tagdistill.experiment.mixture import Mixture
from tagdistill.settings.experiment import TEACHERS_ON_ALL
from tagdistill.settings.objectives import OBJECTIVES


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


def test_the_order_of_languages_reaches_what_learns_from_several():
    """Sentences are shuffled from it: their batches, and so the weights, are others."""
    many = {"teachers": {"all": {}}, "distill__objectives": ["baseline", {"name": "posterior", "teachers": "all"}]}
    turned = dict(reversed(BASE["languages"].items()))
    assert kinds(different(plan(languages=turned))) == {"student", "evaluate"}
    assert kinds(different(plan(languages=turned, **many), plan(**many))) == {"teach", "student", "evaluate"}


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


def test_a_teacher_whose_language_has_no_test_set_is_scored_elsewhere_only():
    own = {"en": {"train": "a.conll"}, "fr": {"train": "b.conll", "test": "c.conll"}}
    planned = plan(languages=own, zero_shot={}, evaluate={"teachers": "own"})
    assert planned.runs.tests_of(planned.runs.models["teachers/en/crf/seed-0"]) == ()
    assert planned.runs.tests_of(planned.runs.models["teachers/fr/crf/seed-0"]) == ("fr",)
