"""Teachers of several languages, averages of teachers, and text of zero-shot languages: what the config plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from plans import different, made_and_read, plan

from tagdistill.cli.job_files import corpus_files
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.experiment.few_updates import few_updates
from tagdistill.experiment.jobs import StudentJob, TeacherJob, read_job
from tagdistill.experiment.layout import place_of
from tagdistill.experiment.mixture import Mixture
from tagdistill.experiment.plan import Plan
from tagdistill.settings.training import SAMPLING, SharedTeacherSettings, TeacherSettings

OF_ALL: dict[str, Any] = {"teachers__all": {"mode": "finetune", "tune_from": 1, "sampling": 0.3}}
BOTH: dict[str, Any] = {**OF_ALL, "distill__teachers": ["own", "all"]}
TEXT: dict[str, Any] = {"zero_shot__de__unlabelled": "de/plain.txt"}


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    monkeypatch.setattr("tagdistill.experiment.local_files.LocalFiles.raw_sha256", lambda self, settings, split: split)


def places(files: list[str]) -> list[str | None]:
    return [place_of(file) for file in files]


# ---- teachers of several languages


def test_a_teacher_of_all_languages_is_trained_on_all_of_them_and_no_other_changes():
    of, alone = plan(**BOTH), plan()
    assert {model.name for model in of.runs.teachers} - {model.name for model in alone.runs.teachers} == {
        "teachers/all/crf/seed-0",
        "teachers/all/crf/seed-1",
    }
    job = read_job(TeacherJob, of.specs.teacher("all", "crf", 1))
    assert (job.languages, job.dev_languages, job.seed) == (("en", "fr", "sv"), ("fr", "sv"), 1)
    assert isinstance(job.settings, SharedTeacherSettings)
    assert (job.settings.mode, job.settings.updates, job.settings.alpha) == ("finetune", 6, 0.3)  # `teacher` has 6
    assert places(of.teacher_inputs("all")["train"]) == [f"data/{x}/train.parquet" for x in ("en", "fr", "sv")]
    assert places(of.teacher_inputs("all")["dev"]) == [f"data/{x}/dev.parquet" for x in ("fr", "sv")]
    assert "encoder" in of.teacher_inputs("all") and "train_features" not in of.teacher_inputs("all")
    assert SAMPLING in of.modules.teacher("all") and SAMPLING not in of.modules.teacher("fr")
    for language in ("en", "fr", "sv"):
        assert of.keys.teacher(language, "crf", 0) == alone.keys.teacher(language, "crf", 0)
        own = read_job(TeacherJob, of.specs.teacher(language, "crf", 0))
        assert own.languages == (language,) and type(own.settings) is TeacherSettings


def test_a_teacher_of_some_languages_knows_no_other():
    some = plan(teachers__west={"languages": ["en", "fr"]}, distill__teachers=["own", "west"])
    assert some.runs.taught("west") == ("en", "fr")
    mixtures = {language: some.runs.mixture("posterior", language) for language in ("en", "fr", "sv")}
    assert {language: mix and mix.teachers for language, mix in mixtures.items()} == {
        "en": ("en", "west"),
        "fr": ("fr", "west"),
        "sv": ("sv",),
    }
    assert '"sv"' not in some.specs.teacher("west", "crf", 0)
    before = some.keys.teacher("west", "crf", 0)
    more = {**BOTH["teachers__all"], "languages": ["en", "fr"]}
    assert plan(teachers__west=more, distill__teachers=["own", "west"]).keys.teacher("west", "crf", 0) != before


def test_a_new_language_trains_the_teacher_of_all_anew_and_that_of_some_not():
    new = {"languages__hi": {"source": "demo", "splits": ["train", "test"]}}
    some = {"teachers__west": {"languages": ["en", "fr"]}, "distill__teachers": ["own", "all", "west"]}
    before, after = plan(**OF_ALL, **some), plan(**OF_ALL, **some, **new)
    assert {x for x in different(after, before) if x.startswith("teach")} == {"teach all crf 0", "teach all crf 1"}
    assert before.notes() == ["note: the teacher all learns from all languages: adding one trains it anew, and all that it teaches"]  # fmt: skip # noqa: E501
    assert plan().notes() == []


def test_teachers_that_no_objective_needs_are_not_trained():
    of = plan(**OF_ALL, distill__teachers=["all"])
    assert {model.teacher for model in of.runs.teachers} == {"all"}
    assert {teacher for teacher, *_ in of.runs.scored} == {"all"}
    one = plan(
        **OF_ALL, distill__objectives=["baseline", "posterior", {"name": "x", "loss": "token", "teachers": ["all"]}]
    )
    assert {(model.teacher, model.decoder) for model in one.runs.teachers} == {
        *((language, "crf") for language in ("en", "fr", "sv")),
        ("all", "softmax"),
    }


def test_few_updates_of_a_teacher_of_several_languages_are_said():
    words = {"en": 5000, "fr": 5000, "sv": 5000}
    (line,) = (
        x for x in few_updates(plan(teachers__all={"updates": 7}, distill__teachers=["all"]), words) if "teacher" in x
    )
    assert line.startswith("warning: the teacher all gets 7 updates for 15,000 labelled words")
    assert "Set `teachers.all.updates: 1500` or more" in line


# ---- averages


def test_an_average_is_known_by_its_teachers_and_the_ratios_of_their_weights():
    assert Mixture.of({"fr": 2, "all": 5}) == Mixture.of({"all": 1.0, "fr": 0.4})
    assert Mixture.of({"fr": 1, "all": 3}).shares == (0.75, 0.25)
    for weights in (
        {"fr": 1},
        {"fr": 7},
        {"fr": 1, "all": 1},
        {"fr-x": 1, "a_b": 2.5, "c": 1e-7},
        {"a": 1 / 3, "b": 1},
    ):
        mixture = Mixture.of(weights)
        assert Mixture.named(mixture.name) == mixture and "/" not in mixture.name


def test_targets_of_an_average_are_made_of_the_scores_of_its_teachers():
    of = plan(**BOTH)
    average = Mixture.of({"fr": 1, "all": 1})
    assert places(of.target_inputs("fr", "crf", "train", average)["scores"]) == [
        "teachers/all/crf/seed-0/scores/fr/train.parquet",
        "teachers/fr/crf/seed-0/scores/train.parquet",
    ]
    assert places(of.student_inputs("posterior", 0)["train_targets"]) == [
        f"targets/{language}/crf/all+{language}/train.parquet" for language in ("en", "fr", "sv")
    ]
    assert "tagdistill.distill.average_targets" in of.modules.targets(average)
    assert of.modules.targets(Mixture.named("fr")) == plan().modules.targets(Mixture.named("fr"))
    other = plan(**OF_ALL, distill__teachers={"own": 1, "all": 2})
    same = plan(**OF_ALL, distill__teachers={"own": 2, "all": 2})
    key = of.keys.targets("fr", "crf", "train", average)
    for teacher in ("teachers__all", "languages__fr__teacher"):
        assert plan(**{**BOTH, teacher: {"hidden": 3}}).keys.targets("fr", "crf", "train", average) != key
    assert key != other.keys.targets("fr", "crf", "train", Mixture.of({"fr": 1, "all": 2}))
    assert places(same.student_inputs("posterior", 0)["train_targets"]) == places(of.student_inputs("posterior", 0)["train_targets"])  # fmt: skip # noqa: E501
    assert of.keys.scores("all", "crf", 0, "fr", "train") == other.keys.scores("all", "crf", 0, "fr", "train")


def test_structural_reads_the_scores_of_all_teachers_and_their_weights():
    every = {"distill__objectives": ["baseline", "structural"], "distill__teachers": {"own": 1, "all": 3}}
    of = plan(**OF_ALL, **every)
    assert places(of.student_inputs("structural", 0)["train_scores"]) == [
        file
        for language in ("en", "fr", "sv")
        for file in (
            f"teachers/all/crf/seed-0/scores/{language}/train.parquet",
            f"teachers/{language}/crf/seed-0/scores/train.parquet",
        )
    ]
    job = read_job(StudentJob, of.specs.student("structural", 0))
    assert job.shares == dict.fromkeys(("en", "fr", "sv"), (0.75, 0.25))
    assert read_job(StudentJob, plan(**BOTH).specs.student("posterior", 0)).shares == {}  # its targets hold them
    files = {"train": [Path(x) for x in job.languages], "train_scores": [Path(f"{n}") for n in range(6)]}
    found = corpus_files(job.languages, files, "train", job.shares)
    assert [(x.scores, x.other_scores, x.shares) for x in found] == [
        (Path(f"{2 * n}"), (Path(f"{2 * n + 1}"),), (0.75, 0.25)) for n in range(3)
    ]
    with pytest.raises(TagdistillError, match="train_scores: 5 files for 6"):
        corpus_files(job.languages, files | {"train_scores": files["train_scores"][1:]}, "train", job.shares)


def test_own_teachers_alone_are_what_they_were_whatever_others_there_are():
    entry = {"name": "posterior-all", "loss": "posterior", "teachers": ["all"]}
    of, alone = plan(**OF_ALL, distill__objectives=["baseline", "posterior", entry]), plan()
    assert different(of, alone) == set()
    assert of.keys.student("posterior", 0) == alone.keys.student("posterior", 0)
    assert of.student_inputs("posterior", 0) == alone.student_inputs("posterior", 0)
    assert places(of.student_inputs("posterior-all", 0)["train_targets"]) == [
        f"targets/{language}/crf/all/train.parquet" for language in ("en", "fr", "sv")
    ]


def test_the_key_of_a_student_names_who_taught_it():
    keys = set()
    for changes in (BOTH, {**OF_ALL, "distill__teachers": ["all"]}, {**BOTH, "teachers__all": {"hidden": 3}}, {}):
        keys.add(plan(**changes).keys.student("posterior", 0))
    assert len(keys) == 4


@pytest.mark.parametrize("changes", [BOTH, {**BOTH, **TEXT}, {**BOTH, "evaluate__teachers": "own"}], ids=str)
def test_the_results_of_a_plan_are_all_that_its_jobs_read(changes: dict[str, Any]):
    made, files = made_and_read(plan(**changes))
    assert files <= made


def test_a_teacher_of_several_languages_is_tested_on_all():
    of = plan(**BOTH, evaluate__teachers="own")
    found = {name: of.runs.tests_of(model) for name, model in of.runs.models.items() if model.kind == "teacher"}
    assert found["teachers/all/crf/seed-0"] == ("en", "fr", "sv", "de")
    assert found["teachers/fr/crf/seed-0"] == ("fr",)


# ---- text of zero-shot languages


def test_text_of_a_zero_shot_language_is_labelled_by_teachers_of_several_languages():
    of = plan(**BOTH, **TEXT)
    assert of.runs.mixture("posterior", "de") == Mixture.named("all")
    assert places(of.student_inputs("posterior", 0)["unlabelled_targets"]) == [
        "targets/en/crf/all+en/unlabelled.parquet",
        "targets/de/crf/all/unlabelled.parquet",
    ]
    assert read_job(StudentJob, of.specs.student("posterior", 0)).unlabelled_languages == ("en", "de")
    assert read_job(StudentJob, of.specs.student("baseline", 0)).unlabelled_languages == ()
    assert [(test.language, test.role, test.text) for test in of.runs.test_languages][-1] == ("de", "zero_shot", True)
    assert different(of, plan(**BOTH)) == {"student posterior 0", "student posterior 1"}


def test_text_of_a_zero_shot_language_may_be_labelled_by_teachers_that_are_named():
    of = plan(**TEXT, zero_shot__de__teachers=["fr", "sv"])
    assert of.runs.mixture("posterior", "de") == Mixture.of({"fr": 1, "sv": 1})
    scores = of.target_inputs("de", "crf", "unlabelled", Mixture.of({"fr": 1, "sv": 1}))["scores"]
    assert places(scores) == [f"teachers/{x}/crf/seed-0/scores/de/unlabelled.parquet" for x in ("fr", "sv")]


def test_no_test_sentence_is_in_the_text_of_a_zero_shot_language():
    of = plan(**BOTH, **TEXT)
    job = json.loads(of.specs.prepare("de", "unlabelled"))
    assert job["without_tests_of"] == ["de", "en", "fr", "sv"]  # in whatever order the config has them
    assert json.loads(of.specs.prepare("en", "unlabelled"))["without_tests_of"] == []
    smaller = plan(**BOTH, **TEXT, limit__test=7)
    assert of.keys.corpus("de", "unlabelled") != smaller.keys.corpus("de", "unlabelled")
    assert places(of.left_out_tests("de", "unlabelled")) == [f"data/{x}/test.parquet" for x in ("de", "en", "fr", "sv")]
    assert "data/de/unlabelled.parquet" in places(of.repeats_inputs()["seen"])


def test_epochs_count_text_of_zero_shot_languages():
    epochs = {"student": {"epochs": 3}, "languages__en__unlabelled": ...}
    assert plan(**BOTH, **epochs).specs.updates_per_batch() == 1.0
    assert plan(**BOTH, **TEXT, **epochs).specs.updates_per_batch() == 2.0


# ---- what is refused

AVERAGE = "learns from the scores of a chain, and the average of several chains is no chain: 'en' has 2 teachers"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "own": ({"teachers__own": {}}, "teachers.own: is the name of each language's own teacher"),
    "a language": ({"teachers__fr": {}}, "teachers.fr: is a language, too"),
    "a zero-shot language": ({"teachers__de": {}}, "teachers.de: is a language, too"),
    "a key": ({"teachers__all": {"hiden": 3}}, "teachers.all.hiden: unknown key\n  Did you mean 'hidden'?"),
    "a path": ({"teachers__a/b": {}}, "teachers"),
    "no such language": ({"teachers__all": {"languages": ["en", "frr"]}}, "'frr' is not among the trained languages"),
    "a language twice": (
        {"teachers__all": {"languages": ["en", "en"]}},
        "teachers.all: `languages` names one of them twice",
    ),
    "word vectors": ({"teachers__all": {"vectors": {"name": "wiki.nl"}}}, "word vectors are those of one language"),
    "layers": (
        {**BOTH, "teachers__all": {"mode": "finetune", "tune_from": 9}},
        "teachers.all.tune_from: 9 layers are kept frozen",
    ),
    "idle": ({"teachers__all": {}}, "teachers.all: no objective learns from this teacher"),
    "unknown": ({**OF_ALL, "distill__teachers": ["own", "al"]}, "distill.teachers: there is no teacher 'al'"),
    "unknown of one": (
        {"distill__objectives": [{"loss": "top_k", "teachers": ["all"]}]},
        "distill.objectives.0.teachers: there is no teacher 'all'\n  Known: own",
    ),
    "twice": ({**OF_ALL, "distill__teachers": ["all", "all"]}, "a teacher is named twice"),
    "no weight": ({**OF_ALL, "distill__teachers": {"all": 0}}, "distill.teachers.all: must be above 0"),
    "none": ({"distill__teachers": []}, "distill.teachers"),
    "no effect": (
        {**BOTH, "distill__objectives": [{"loss": "baseline", "teachers": ["all"]}]},
        "`teachers` changes nothing",
    ),
    "not all": (
        {"teachers__west": {"languages": ["en", "fr"]}, "distill__teachers": ["west"]},
        "distill.teachers: no teacher of 'posterior' knows 'sv'",
    ),
    "scores": ({**BOTH, "distill__objectives": ["scores"]}, f"distill.teachers: 'scores' {AVERAGE}"),
    "emission": ({**BOTH, "distill__objectives": ["emission"]}, f"distill.teachers: 'emission' {AVERAGE}"),
    "text without a teacher": (TEXT, "zero_shot.de.unlabelled: no objective learns from this text"),
    "teachers without text": (
        {**BOTH, "zero_shot__de__teachers": ["all"]},
        "zero_shot.de.teachers: there is no text that they could label",
    ),
    "trained": ({**BOTH, "languages__fr__teachers": ["all"]}, "languages.fr.teachers: is for zero-shot languages"),
    "own of text": (
        {**BOTH, **TEXT, "zero_shot__de__teachers": ["own"]},
        "zero_shot.de.teachers: there is no teacher 'own'",
    ),
    "long": (
        {**{f"teachers__{x * 60}": {} for x in "pqrs"}, "distill__teachers": [x * 60 for x in "pqrs"]},
        "distill.teachers: the names of 4 teachers have 243 characters, and their targets a folder of this name",
    ),
    "long of text": (
        {
            **{f"languages__{x * 56}": {"train": "a.conll"} for x in "pqrs"},
            **TEXT,
            "zero_shot__de__teachers": [x * 56 for x in "pqrs"],
        },
        "zero_shot.de.teachers: the names of 4 teachers have 227 characters",
    ),
    "temperature": (
        {**OF_ALL, **TEXT, "distill__teachers": ["all"], "distill__temperature": 2, "languages__en__unlabelled": ...},
        "learns at temperature 2 from unlabelled text",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_teach_is_refused(case: str):
    changes, message = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        plan(**changes)
    assert message in str(caught.value)


def test_one_teacher_of_several_languages_may_teach_any_objective():
    every = ["baseline", "structural", "emission", "scores", "top_k", "pseudo_labels", "token"]
    of: Plan = plan(**OF_ALL, distill__teachers=["all"], distill__objectives=every)
    assert places(of.student_inputs("structural", 0)["train_scores"]) == [
        f"teachers/all/crf/seed-0/scores/{language}/train.parquet" for language in ("en", "fr", "sv")
    ]
    gated = plan(**OF_ALL, distill__teachers=["all"], distill__gate="soft", languages__en__dev="en/dev.conll")
    assert places(gated.student_inputs("posterior", 0)["gate_teachers"]) == ["teachers/all/crf/seed-0/training.json"]
