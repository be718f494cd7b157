"""Objectives with settings of their own, and what an objective cannot learn from."""

from __future__ import annotations

from typing import Any

import pytest
from configs import changed, refusal

from tagdistill.errors import ConfigError
from tagdistill.experiment.config import check_experiment

POSTERIOR_T2 = {"name": "posterior-T2", "loss": "posterior", "temperature": 2.25, "unlabelled_ratio": 0}


def objectives(*entries: Any, **distill: Any) -> dict[str, Any]:
    return changed("distill", {"objectives": list(entries), "k": 4, **distill})


def test_an_objective_may_have_settings_of_its_own_and_what_it_leaves_out_is_that_of_all():
    values = objectives("posterior", POSTERIOR_T2, {"loss": "top_k", "k": 1}, {"name": "emission", "anneal": {"to": 1}})
    values["distill"] |= {"temperature": 0.5, "unlabelled_ratio": 2.0, "anneal": {"from": 0.5}}
    distill = check_experiment(values, "study.yaml").distill
    assert distill.names == ("posterior", "posterior-T2", "top_k", "emission")
    found = {name: distill.resolve(name) for name in distill.names}
    assert {name: each.row.name for name, each in found.items()} == {
        "posterior": "posterior", "posterior-T2": "posterior", "top_k": "top_k", "emission": "emission",
    }  # fmt: skip
    assert [each.temperature for each in found.values()] == [0.5, 2.25, 0.5, 0.5]
    assert [each.unlabelled_ratio for each in found.values()] == [2.0, 0.0, 2.0, 2.0]
    assert [each.uses_unlabelled for each in found.values()] == [True, False, True, True]
    assert [each.k for each in found.values()] == [None, None, 1, None]
    assert [(each.anneal.start, each.anneal.end) for each in found.values()] == [(0.5, 0)] * 3 + [(1, 1)]


@pytest.mark.parametrize(
    ("entries", "distill", "place"),
    [
        (["posterior"], {"temperature": 2}, "distill.temperature"),
        ([{"name": "emission", "temperature": 1.5}], {}, "distill.objectives.0.temperature"),
        (["structural", POSTERIOR_T2 | {"unlabelled_ratio": 1}], {}, "distill.objectives.1.temperature"),
    ],
)
def test_a_temperature_above_1_on_unlabelled_text_is_refused(entries: list[Any], distill: dict[str, Any], place: str):
    with pytest.raises(ConfigError, match=f"{place}: '.*' learns at temperature .* from unlabelled text"):
        check_experiment(objectives(*entries, **distill), "study.yaml")
    no_text = {"source": "demo", "splits": ["train", "test"]}
    check_experiment(objectives(*entries, **distill) | {"languages": {"en": no_text}}, "study.yaml")


def test_a_temperature_above_1_is_no_matter_of_objectives_that_have_none():
    check_experiment(objectives("structural", "top_k", "baseline", POSTERIOR_T2, temperature=3), "study.yaml")


def test_pseudo_labels_have_no_weight_where_there_is_gold():
    distill = check_experiment(objectives("pseudo_labels", anneal={"from": 0.5}), "study.yaml").distill
    assert (distill.resolve("pseudo_labels").anneal.start, distill.resolve("pseudo_labels").anneal.end) == (0, 0)


REFUSED = {
    "a name alone": ({"name": "mine"}, "0: 'mine' is a name of your own: say with `loss` which objective it is"),
    "the name of another": (
        {"name": "posterior", "loss": "top_k"},
        "0: 'posterior' is an objective, and cannot be the name of another ('top_k')",
    ),
    "no name": ({"temperature": 2}, "0.name: this key is needed"),
    "no folder": ({"name": "../x", "loss": "posterior"}, "0.name: cannot be '../x'"),
    "a hidden folder": ({"name": ".x", "loss": "posterior"}, "0.name: cannot be '.x'"),
    "a long name": ({"name": "x" * 61, "loss": "posterior"}, "0.name: must have at most 60 characters"),
    "a number": ({"name": 3, "loss": "posterior"}, "0.name: text is needed, not 3"),
    "a list": ({"name": ["x"], "loss": "posterior"}, "0.name: text is needed, not ['x']"),
    "an unknown key": (
        {"name": "posterior", "temprature": 2},
        "0.temprature: unknown key\n  Did you mean 'temperature'?",
    ),
    "a nested key": (
        {"name": "posterior", "anneal": {"form": 1}},
        "0.anneal.form: unknown key\n  Did you mean 'from'?",
    ),
    "an unknown loss": ({"name": "x", "loss": "posterio"}, "0.loss: cannot be 'posterio'\n  Did you mean 'posterior'?"),
    "a temperature": ({"name": "posterior", "temperature": 0}, "0.temperature: must be above 0.0, not 0"),
    "no effect": (
        {"loss": "structural", "temperature": 2},
        "0: `temperature` changes nothing in `structural`: leave it out",
    ),
    "no teacher": ({"loss": "baseline", "anneal": {"to": 1}}, "0: `anneal` changes nothing in `baseline`"),
    "no paths": ({"loss": "posterior", "k": 1}, "0: `k` changes nothing in `posterior`"),
    "gold alone": ({"loss": "pseudo_labels", "anneal": {"to": 1}}, "0: `anneal` changes nothing in `pseudo_labels`"),
    "more paths": (
        {"loss": "top_k", "k": 5},
        "0.k: 'top_k' reads 5 paths, but the targets hold 4\n  Set `distill.k: 5`",
    ),
    "no text": ({"loss": "pseudo_labels", "unlabelled_ratio": 0}, "0: 'pseudo_labels' learns from its teachers on unl"),
    "another type": (3, "0: cannot be 3\n  Known: baseline"),
}


@pytest.mark.parametrize(("entry", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_with_an_objective_is_said_with_its_place(entry: Any, message: str):
    assert refusal(objectives(entry)).startswith(f"study.yaml: distill.objectives.{message}")


@pytest.mark.parametrize("again", ["posterior", {"name": "Posterior", "loss": "structural"}])
def test_two_objectives_never_share_a_folder(again: Any):
    name = again if isinstance(again, str) else again["name"]
    assert f"two objectives are named {name!r}: give each a `name` of its own" in refusal(
        objectives("posterior", again)
    )


def test_pseudo_labels_need_text_without_labels():
    values = objectives("pseudo_labels")
    del values["languages"]["en"]  # the demo has some
    assert "learns from its teachers on unlabelled text alone, and there is none" in refusal(values)


@pytest.mark.parametrize("name", ["token", "top_k", "top_wk", "posterior", "posterior+top_wk", "pseudo_labels"])
def test_more_labels_than_targets_hold_are_refused_before_anything_is_trained(name: str):
    many = {"labels": [f"T{number}" for number in range(64)]}
    told = "reads targets, which hold one byte per label: 256 at most, but there are 257"
    assert f"distill.objectives.1: {name!r} {told}" in refusal(objectives("baseline", name) | many)
    check_experiment(objectives("baseline", name) | {"labels": many["labels"][1:]}, "study.yaml")
    check_experiment(objectives("baseline", "softmax", "emission", "structural", "scores") | many, "study.yaml")
