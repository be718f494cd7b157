"""Warnings of unlabelled text that students would read too often, in `config check` and `plan`."""

from __future__ import annotations

import re

from plans import plan

from tagdistill.experiment.little_text import ENOUGH, MOST, little_text

GOLD = {"en": 3000, "fr": 2000, "sv": 1000}


def three(**more: object) -> object:
    return plan(distill__unlabelled_ratio=3, **more)


def test_text_that_is_read_more_than_three_times_as_often_is_a_warning_that_says_what_would_do():
    assert little_text(three(), GOLD, {"en": 3000}) == [
        "warning: the students of posterior read 3,000 unlabelled words 6 times as often as 6,000 labelled words: they "
        "may end below the baseline. Set `distill.unlabelled_ratio: 0.7` or less, or give more text"
    ]
    assert little_text(three(), GOLD, {"en": 6000}) == []
    assert little_text(three(), GOLD, {"en": 5999}) != []
    assert little_text(plan(), GOLD, {"en": 3000}) == []  # one batch for a labelled one


def test_what_it_advises_is_no_warning():
    for words in (10, 333, 3000, 5999):
        [line] = little_text(three(), GOLD, {"en": words})
        ratio = float(re.search("ratio: ([0-9.]+)`", line)[1])
        advised = plan(distill__unlabelled_ratio=ratio)
        assert ratio == 0.1 or little_text(advised, GOLD, {"en": words}) == []
        assert ratio == 0.1 or ratio * 6000 <= ENOUGH * words < MOST * words


def test_each_ratio_has_a_line_of_its_own_and_the_key_is_that_of_the_objective():
    own = [
        "baseline",
        "posterior",
        {"name": "structural", "loss": "structural"},
        {"name": "more", "loss": "posterior", "unlabelled_ratio": 9},
        {"name": "none", "loss": "posterior", "unlabelled_ratio": 0},
    ]
    first, second = little_text(three(distill__objectives=own), GOLD, {"en": 3000})
    assert "the students of posterior, structural read 3,000 unlabelled words 6 times" in first
    assert "the students of more read 3,000 unlabelled words 18 times" in second
    assert "`distill.objectives.3.unlabelled_ratio: 0.7`" in second


def test_nothing_is_said_where_nobody_reads_text_or_knows_how_much_there_is():
    assert little_text(three(distill__objectives=["baseline"]), GOLD, {"en": 1}) == []
    assert little_text(three(), {"en": 3000}, {"en": 1}) == []
    assert little_text(three(), GOLD, {}) == []
    assert little_text(three(languages__en__unlabelled=...), GOLD, {"en": 1}) == []


def test_text_of_zero_shot_languages_counts_where_it_is_read():
    known = {
        "teachers": {"all": {"updates": 900}},
        "distill__teachers": ["own", "all"],
        "zero_shot__de": {"format": "text", "unlabelled": "de.txt", "test": {"path": "de.conll", "format": "conll"}},
    }
    assert little_text(three(**known), GOLD, {"en": 3000, "de": 3000}) == []
    assert "3,010 unlabelled words" in little_text(three(**known), GOLD, {"en": 3000, "de": 10})[0]
