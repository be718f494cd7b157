"""Warnings of models that are hardly trained, in `config check` and `plan`."""

from __future__ import annotations

import numpy as np
import pytest
from plans import plan

from tagdistill.experiment.few_updates import STUDENTS, TEACHERS, few_updates
from tagdistill.training.updates import plan as plan_of

ENOUGH = {"student__updates": 1500, "teacher__updates": 500}
WORDS = {"en": 3000, "fr": 2950, "sv": 60_000}


def epochs(kind: str, number: int, **more: object) -> dict:
    return {**ENOUGH, f"{kind}__updates": None, f"{kind}__epochs": number, **more}


def test_few_epochs_over_little_text_are_a_warning_that_says_what_would_do():
    assert few_updates(plan(**epochs("teacher", 4)), WORDS) == [
        "warning: the teachers of en and fr get 12 updates for 2,950 to 3,000 labelled words: students lose by what "
        "such a teacher teaches. Set `teacher.updates: 500` or more"
    ]
    assert few_updates(plan(**epochs("teacher", 4)), {}) == []  # nobody knows
    assert few_updates(plan(**epochs("teacher", 40)), WORDS) == []
    assert few_updates(plan(**ENOUGH), WORDS) == []


def test_the_key_is_that_of_the_language_where_it_has_its_own():
    own = plan(**ENOUGH, languages__fr__teacher={"epochs": 1})
    assert few_updates(own, WORDS) == [
        "warning: the teacher of fr gets 3 updates for 2,950 labelled words: students lose by what such a teacher "
        "teaches. Set `languages.fr.teacher.updates: 500` or more"
    ]
    assert few_updates(plan(**ENOUGH, languages__fr__teacher={"hidden": 3}), WORDS) == []
    assert few_updates(plan(**ENOUGH, languages__fr__teacher={"updates": 99}), {})[0].startswith(
        "warning: the teacher of fr gets 99 updates: "
    )


def test_students_and_fine_tuned_models_have_bounds_of_their_own():
    assert few_updates(plan(**{**ENOUGH, "student__updates": 299}), {}) == [
        "warning: the students get 299 updates: they learn little. Set `student.updates: 1500` or more"
    ]
    assert few_updates(plan(**{**ENOUGH, "student__updates": 300}), {}) == []
    tuned = {**ENOUGH, "teacher__mode": "finetune", "teacher__tune_from": 1, "teacher__updates": 50}
    assert few_updates(plan(**tuned), {"en": 2000}) == []
    assert "`teacher.updates: 100`" in few_updates(plan(**tuned | {"teacher__updates": 49}), {})[0]
    assert all(bounds.least < bounds.enough for bounds in (*TEACHERS.values(), *STUDENTS.values()))
    assert few_updates(plan(**{**ENOUGH, "teacher__updates": 1, "distill__objectives": ["baseline"]}), WORDS) == []


def test_a_large_text_is_read_at_least_once():
    large = {**WORDS, "en": 1_000_000}
    assert few_updates(plan(**{**ENOUGH, "student__updates": 2000}), large) == [
        "warning: the teacher of en gets 500 updates for 1,000,000 labelled words: students lose by what such a "
        "teacher teaches. Set `teacher.updates: 3000` or more"
    ]


def test_many_languages_are_counted():
    many = {f"x{n}": {"format": "conll", "train": f"{n}.conll", "test": "t.conll"} for n in range(8)}
    [line] = few_updates(plan(**{**ENOUGH, "teacher__updates": 9, "languages": many}), {})
    assert "the teachers of x0, x1, x2, x3, x4 and 3 more get 9 updates:" in line


@pytest.mark.parametrize("ratio", [0.0, 2.0])
def test_the_updates_of_epochs_are_about_those_of_the_training(ratio):
    of = plan(**epochs("student", 7, distill__unlabelled_ratio=ratio))
    lengths = np.random.default_rng(0).integers(3, 40, 300)
    shares = {"en": 100, "fr": 0, "sv": int(lengths.sum()) - 100}
    [line] = few_updates(of, shares)
    settings, each = of.experiment.student, of.specs.updates_per_batch()
    planned = len(plan_of(settings, lengths, np.zeros(0, np.int64), 0, updates_per_batch=each))
    said = int(line.split("get ")[1].split(" update")[0])
    assert said == pytest.approx(planned, rel=0.15)  # padding takes room
