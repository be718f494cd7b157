"""What a config asks for and its data do not have: a test set to score on, text for a ratio of it."""

from __future__ import annotations

from plans import plan

from tagdistill.experiment.no_effect import no_effect

OBJECTIVES = ["baseline", {"name": "posterior", "unlabelled_ratio": 2}, {"name": "top_k", "unlabelled_ratio": 0}]


def test_the_ratio_of_an_objective_is_named_where_there_is_no_text():
    assert no_effect(plan(languages__en__unlabelled=..., distill__objectives=OBJECTIVES).runs) == [
        "note: `distill.objectives.1.unlabelled_ratio: 2` changes nothing: no language has an `unlabelled` split"
    ]
    assert no_effect(plan(distill__objectives=OBJECTIVES).runs) == []


def test_a_tag_among_types_is_a_warning():
    assert no_effect(plan(labels=["PER", "B-LOC", "E-MAIL"]).runs) == [
        "warning: `labels:` has 'B-LOC', a tag among types: give the type alone, 'LOC'"
    ]


def test_text_of_a_zero_shot_language_is_text():
    of_german = {"distill__teachers": ["own", "all"], "teachers": {"all": {}}, "distill__unlabelled_ratio": 2}
    text = {"source": "demo", "unlabelled": {"path": "de.txt", "format": "text"}}
    assert no_effect(plan(languages__en__unlabelled=..., zero_shot={"de": text}, **of_german).runs) == []
