"""Presets, aliases, and the teacher of one language."""

from __future__ import annotations

from typing import Any

import pytest
from configs import VALID, changed, refusal

from tagdistill.experiment.by_language import shared_teacher_settings, teacher_settings
from tagdistill.experiment.config import check_experiment, describe_experiment
from tagdistill.settings.presets import PAPER


def test_the_preset_is_the_papers_recipe_and_other_keys_win_over_it():
    experiment = check_experiment(changed("student", {"preset": "paper", "clip": 1.0}), "study.yaml")
    found = experiment.student.model_dump()
    assert {key: found[key] for key in PAPER} == PAPER | {"clip": 1.0}
    message = refusal(changed("student", {"preset": "papers", "updates": 3}))
    assert message == (
        "study.yaml: student.preset: no preset 'papers'\n  Did you mean 'paper'? Known: paper, recommended."
    )


def test_updates_may_stand_instead_of_the_epochs_of_the_preset():
    experiment = check_experiment(changed("student", {"preset": "paper", "updates": 20}), "study.yaml")
    assert (experiment.student.updates, experiment.student.epochs) == (20, None)


def test_anneal_is_read_and_written_as_from_and_to():
    anneal = check_experiment(VALID, "study.yaml").distill.anneal
    assert (anneal.start, anneal.end) == (0.9, 0.1)
    assert anneal.model_dump(exclude_none=True) == {"from": 0.9, "to": 0.1}


def test_a_language_changes_its_own_teacher_alone():
    own = {"hidden": 7, "epochs": 2, "encoder": {"provider": "tiny", "tap": 1}}
    experiment = check_experiment(changed("languages.fr.teacher", own), "study.yaml")
    french, english = teacher_settings(experiment, "fr"), teacher_settings(experiment, "en")
    assert (french.hidden, french.epochs, french.updates) == (7, 2, None)
    assert french.encoder is not None and french.encoder.taps == (1,)
    assert (english.hidden, english.updates, english.encoder) == (128, 6, None)


def test_a_language_may_give_its_teacher_the_preset():
    message = refusal(changed("languages.fr.teacher", {"preset": "papers"}))
    assert message.startswith("study.yaml: languages.fr.teacher.preset: no preset 'papers'")
    english = teacher_settings(check_experiment(changed("languages.en.teacher", {"preset": "paper"}), "x"), "en")
    assert (english.optimizer, english.batch_words) == ("sgd", 2000)
    assert english.seeds == (0, 1)


@pytest.mark.parametrize("task", ["ner", "aspect"])
def test_the_recommended_recipe_depends_on_the_task(task: str):
    values = changed("teacher", {"preset": "recommended"}) | {"student": {"preset": "recommended"}, "task": task}
    experiment = check_experiment(values, "study.yaml")
    teacher, student = experiment.teacher, experiment.student
    assert (teacher.mode, teacher.head, teacher.tune_from, teacher.updates) == ("finetune", "linear", 4, 200)
    assert (student.mode, student.head, student.hidden, student.updates) == ("frozen", "bilstm", 128, 1500)
    assert teacher.learning_rate_encoder == {"ner": 1e-4, "aspect": 3e-4}[task]


def test_the_recommended_recipe_depends_on_mode_and_device_and_other_keys_win_over_it():
    tuned = changed("student", {"preset": "recommended", "mode": "finetune", "clip": 1.0})
    student = check_experiment(tuned, "x").student
    assert (student.head, student.updates, student.tune_from, student.clip) == ("linear", 450, 4, 1.0)
    shorter = check_experiment(changed("student", {"preset": "recommended", "epochs": 3}), "x").student
    assert (shorter.mode, shorter.updates, shorter.epochs) == ("frozen", None, 3)
    gpu = changed("student", {"preset": "recommended"}) | {"device": "cuda"}
    student = check_experiment(gpu, "x").student
    assert (student.mode, student.tune_from, student.batch_words, student.updates) == ("finetune", 1, 1000, 1500)


def test_teachers_of_several_languages_have_more_updates_than_the_recommended_recipe_gives_one():
    def updates(teacher: dict[str, Any], shared: dict[str, Any]) -> tuple[int | None, int | None]:
        values = changed("distill.teachers", ["own", "all"]) | {"teacher": teacher, "teachers": {"all": shared}}
        experiment = check_experiment(values | {"encoder": {"provider": "wheel"}}, "x")
        found = shared_teacher_settings(experiment, "all")
        return found.updates, found.epochs

    assert updates({"preset": "recommended"}, {}) == (450, None)
    assert updates({"preset": "recommended"}, {"mode": "frozen"}) == (1500, None)
    assert updates({"preset": "recommended"}, {"epochs": 3}) == (None, 3)
    assert updates({"preset": "recommended", "updates": 7}, {}) == (7, None)
    assert updates({"updates": 7}, {"preset": "recommended"}) == (450, None)
    assert updates({"updates": 7}, {}) == (7, None)


def test_a_languages_recipe_is_that_of_the_mode_of_its_teacher():
    values = changed("languages.fr.teacher", {"preset": "recommended"})
    values["teacher"] = {"mode": "frozen", "updates": 6}
    french = teacher_settings(check_experiment(values, "x"), "fr")
    assert (french.mode, french.head, french.updates) == ("frozen", "bilstm", 500)


def test_a_described_experiment_counts_teachers_and_students():
    text = describe_experiment(check_experiment(VALID, "study.yaml"), "study.yaml")
    assert "4 teachers, 4 students (baseline, posterior; seeds 0, 1)" in text
