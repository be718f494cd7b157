"""`distill.gate: soft`: a teacher that is worse than the baseline on dev weighs less."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from plans import different, plan
from safetensors.torch import load_file
from tiny_runs import files_of, make_corpus, student_run, teacher_run, with_targets

from tagdistill.artifacts.files import read_json, write_json
from tagdistill.cli.job_files import gate_files
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.experiment.jobs import StudentJob, read_job
from tagdistill.experiment.layout import place_of
from tagdistill.training.gate import gate, read_gate
from tagdistill.training.resume import fingerprint_of
from tagdistill.training.run_training import run_training
from tagdistill.workflow.rerun_reasons import explain_key

DEV = {"languages__en__dev": "en/dev.conll"}
SOFT = {**DEV, "distill__gate": "soft"}
OFF = {**DEV, "distill__gate": False}  # as YAML 1.1 reads a plain `off`
NO_DEV = {"languages__fr__dev": ..., "languages__sv__splits": ["train", "test"]}
TEXT = {
    "teachers__all": {},
    "distill__teachers": ["own", "all"],
    "zero_shot__de__unlabelled": "de/plain.conll",
}


@pytest.mark.parametrize(
    ("teacher", "baseline", "weight"),
    [
        (90.0, 90.0, 1.0),
        (99.0, 90.0, 1.0),
        (87.5, 90.0, 0.75),
        (80.0, 90.0, 0.0),
        (10.0, 90.0, 0.0),
        (100.0, 100.0, 1.0),
        (99.9, 100.0, 0.0),
        (0.0, 0.0, 1.0),
        (0.0, 10.0, 2 - 100 / 90),
    ],
)
def test_the_weight_falls_with_the_errors_that_a_teacher_makes_more(teacher, baseline, weight):
    assert gate(teacher, baseline) == pytest.approx(weight)


def summary(path, scores):
    write_json(path, {"dev": None, "dev_scores": scores})
    return path


def test_weights_are_those_of_the_dev_scores_of_each_language(tmp_path, caplog):
    teachers = {"fi": summary(tmp_path / "fi", {"fi": 84.7, "macro": 1}), "et": summary(tmp_path / "et", {"et": 95.0})}
    baseline = summary(tmp_path / "b", {"fi": 89.8, "et": 90.0, "macro": 89.9})
    own = {"fi": {"fi": 1.0}, "et": {"et": 1.0}}
    with caplog.at_level(logging.INFO):
        assert read_gate(own, ["fi", "et"], teachers, baseline) == pytest.approx({"fi": 2 - 15.3 / 10.2, "et": 1.0})
    assert "what the teachers of fi weigh, by their dev scores and the baseline's: fi 0.50" in caplog.text
    for lacking in ({"macro": 1.0}, None):
        for name in ("b", "fi"):
            summary(tmp_path / "b", {"fi": 89.8, "et": 90.0})
            summary(tmp_path / name, lacking)
            with pytest.raises(DataError, match="no dev score of 'fi'"):
                read_gate(own, ["fi", "et"], teachers, baseline)


def test_an_average_weighs_what_its_teachers_do_and_a_language_without_dev_what_the_others_do(tmp_path):
    teachers = {
        "all": summary(tmp_path / "all", {"fi": 85.0, "et": 87.5, "macro": 0.0}),  # 0.5 and 0.75
        "fi": summary(tmp_path / "fi", {"fi": 80.0}),  # 0
        "sv": summary(tmp_path / "sv", None),  # has no dev set
    }
    baseline = summary(tmp_path / "b", {"fi": 90.0, "et": 90.0, "macro": 90.0})
    gated = {
        "fi": {"all": 0.75, "fi": 0.25},
        "et": {"all": 1.0},
        "sv": {"all": 0.5, "sv": 0.5},
        "de": {"all": 0.5, "fi": 0.5},  # its text alone is known
        "pl": {"sv": 1.0},
    }
    found = read_gate(gated, ["fi", "et"], teachers, baseline)
    assert found == pytest.approx({"fi": 0.375, "et": 0.75, "sv": (0.625 + 1) / 2, "de": 0.3125, "pl": 1.0})


def planned(monkeypatch, **changes):
    """Return a plan whose files need not be there."""
    of = plan(**changes)
    monkeypatch.setattr(of.local, "raw_sha256", lambda language, split: split)
    return of


def test_the_baseline_of_the_same_seed_is_an_input_and_changes_nothing_itself(monkeypatch):
    of, off = planned(monkeypatch, **SOFT), planned(monkeypatch, **OFF)
    assert different(of, off) == {"student posterior 0", "student posterior 1"}
    inputs = of.student_inputs("posterior", 1)
    assert [place_of(file) for file in inputs["gate_baseline"]] == ["students/baseline/seed-1/training.json"]
    assert [place_of(file) for file in inputs["gate_teachers"]] == [
        f"teachers/{language}/crf/seed-0/training.json" for language in ("en", "fr", "sv")
    ]
    for other in (of.student_inputs("baseline", 1), off.student_inputs("posterior", 1)):
        assert not {"gate_baseline", "gate_teachers"} & set(other)
    assert "tagdistill.training.gate" in of.modules.student("posterior")
    assert "tagdistill.training.gate" not in {*of.modules.student("baseline"), *off.modules.student("posterior")}
    assert of.keys.student("baseline", 1) == off.keys.student("baseline", 1)


def test_the_key_of_a_gated_student_holds_that_of_its_baseline(monkeypatch):
    asked = []
    for of in (planned(monkeypatch, **SOFT), planned(monkeypatch, **OFF)):
        whole = of.keys.student
        monkeypatch.setattr(of.keys, "student", lambda *model, whole=whole: (asked.append(model), whole(*model))[1])
        whole("posterior", 1)
    assert asked == [("baseline", 1)]
    of = planned(monkeypatch, **SOFT)
    before, whole = of.keys.student("posterior", 1), of.keys._student
    other = planned(monkeypatch, **SOFT)
    monkeypatch.setattr(other.keys, "student", lambda *model: "another baseline")
    assert other.keys._student("posterior", 1) != whole("posterior", 1) == before


def test_one_objective_alone_may_be_gated():
    gated = {"name": "gated", "loss": "posterior", "gate": "soft"}
    of = plan(**DEV, distill__gate="off", distill__objectives=["baseline", "posterior", gated])
    jobs = {name: read_job(StudentJob, of.specs.student(name, 0)) for name in of.runs.objectives}
    found = {name: job.distill.resolve(name).gate for name, job in jobs.items()}
    assert found == {"baseline": "off", "posterior": "off", "gated": "soft"}
    assert jobs["gated"].gated == {language: {language: 1.0} for language in ("en", "fr", "sv")}
    assert not jobs["posterior"].gated
    assert of.runs.gated_by("gated", 0).name == "students/baseline/seed-0"


AUTO = [
    ({}, "soft"),  # two languages of three have a dev set
    (NO_DEV, "off"),
    (DEV, "soft"),
    ({**DEV, "distill__objectives": ["posterior"]}, "off"),
    ({**DEV, "distill__objectives": ["baseline", "posterior", "token"]}, "soft"),  # whose reference is `softmax`
    ({**DEV, "distill__objectives": ["baseline", {"loss": "posterior", "gate": "off"}]}, "off"),
]


@pytest.mark.parametrize(("changes", "expected"), AUTO)
def test_the_gate_is_soft_by_itself_where_dev_scores_can_be_compared(changes, expected):
    of = plan(**changes)
    assert of.runs.objective("posterior").gate == expected
    assert of.runs.objective(of.runs.objectives[-1]).gate == ("off" if "token" in of.runs.objectives else expected)


def test_averages_and_text_of_zero_shot_languages_are_gated(monkeypatch):
    of = planned(monkeypatch, **DEV, **TEXT)
    half = {language: {"all": 0.5, language: 0.5} for language in ("en", "fr", "sv")}
    job = read_job(StudentJob, of.specs.student("posterior", 0))
    assert job.gated == {**half, "de": {"all": 1.0}}
    files = [place_of(file) for file in of.student_inputs("posterior", 0)["gate_teachers"]]
    assert files == [f"teachers/{name}/crf/seed-0/training.json" for name in ("all", "en", "fr", "sv")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill__gate": "soft"}, "distill.gate: compares dev scores, and there is no dev set of en"),
        (
            {**SOFT, "distill__objectives": ["posterior"]},
            "distill.gate: compares the teachers of 'posterior' with the students of 'baseline', which is missing",
        ),
        (
            {**SOFT, "distill__objectives": ["baseline", "token"]},
            "distill.gate: compares the teachers of 'token' with the students of 'softmax', which is missing",
        ),
        (
            {"distill__objectives": ["baseline", {"loss": "top_k", "gate": "soft"}]},
            "distill.objectives.1.gate: compares dev scores",
        ),
        ({"distill__objectives": [{"loss": "baseline", "gate": "soft"}]}, "`gate` changes nothing in `baseline`"),
    ],
)
def test_what_cannot_be_gated_is_refused(changes, message):
    with pytest.raises(ConfigError) as refused:
        plan(**changes)
    assert message in str(refused.value)


def test_languages_without_a_dev_set_may_have_the_gate_where_it_is_possible():
    with pytest.raises(ConfigError, match="gate: auto") as refused:
        plan(distill__gate="soft")
    assert "Give a `dev` split, or set `gate: auto` (soft where dev sets allow it)" in str(refused.value)


def test_a_plan_says_that_the_gate_changed_and_not_what_follows_from_it():
    jobs = [plan(**changes).specs.student("posterior", 0) for changes in (OFF, SOFT)]
    for before, now, said in ((*jobs, "off → soft"), (*reversed(jobs), "soft → off")):
        assert explain_key([before], [now]) == f"distill.gate: {said}"


def test_files_that_are_missing_are_said():
    with pytest.raises(TagdistillError, match="gate_teachers"):
        gate_files({"fr": {"fr": 1.0}}, {})
    with pytest.raises(TagdistillError, match="gate_teachers"):
        gate_files({}, {"gate_baseline": ["c"]})  # a job that says soft, and lists none to weigh
    with pytest.raises(TagdistillError, match="gate_teachers: 2 files for 1 teacher"):
        gate_files({"fr": {"all": 1.0}, "sv": {"all": 1.0}}, {"gate_teachers": ["a", "b"], "gate_baseline": ["c"]})
    assert gate_files({"sv": {"sv": 0.5, "all": 0.5}}, {"gate_teachers": ["a", "b"], "gate_baseline": ["c"]}) == (
        {"all": "a", "sv": "b"},
        "c",
    )


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Return the training text of two languages with the targets of one small teacher each."""
    folder = tmp_path_factory.mktemp("taught")
    found = []
    for language in ("aa", "bb"):
        files = files_of(make_corpus(folder, language, "train", 30))
        run = teacher_run(folder / language, files)
        run_training(run)
        found.append(with_targets(run.outputs.model, files, folder / language))
    return found


def weights_of(run):
    run_training(run)
    return load_file(run.outputs.model / "model.safetensors")


def test_a_student_of_teachers_that_weigh_nothing_is_the_baseline(taught, tmp_path):
    def run(name, objective, gate):
        return student_run(tmp_path / name, taught, objective=objective, gate=gate)

    baseline = weights_of(run("baseline", "baseline", None))
    none = weights_of(run("none", "posterior", {"aa": 0.0, "bb": 0.0}))
    plain, whole = (weights_of(run(n, "posterior", g)) for n, g in (("p", None), ("w", {"aa": 1.0, "bb": 1.0})))
    half = weights_of(run("half", "posterior", {"aa": 0.0, "bb": 1.0}))
    for name, tensor in baseline.items():
        torch.testing.assert_close(none[name], tensor, msg=name)
        torch.testing.assert_close(whole[name], plain[name], msg=name)
    assert not torch.allclose(half["tagger.emission.weight"], plain["tagger.emission.weight"])
    assert not torch.allclose(half["tagger.emission.weight"], baseline["tagger.emission.weight"])
    assert read_json(tmp_path / "half" / "model" / "config.json")["gate"] == {"aa": 0.0, "bb": 1.0}
    prints = {fingerprint_of(run("x", "posterior", gate)) for gate in (None, {"aa": 0.5, "bb": 1.0})}
    assert len(prints) == 2 and json.dumps(sorted(prints))
