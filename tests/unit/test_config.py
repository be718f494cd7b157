"""A config file is refused with the file, the key, the value and what is allowed instead; or it is an experiment."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nested import with_value

from tagdistill.cli import main as cli
from tagdistill.errors import ConfigError
from tagdistill.experiment.by_language import shared_teacher_settings, teacher_settings
from tagdistill.experiment.config import (
    check_experiment,
    describe_experiment,
    read_experiment,
    read_yaml,
)
from tagdistill.experiment.plan import Plan
from tagdistill.settings.experiment import Experiment
from tagdistill.settings.presets import PAPER

VALID: dict[str, Any] = {
    "name": "study",
    "task": "ner",
    "labels": ["PER", "LOC"],
    "languages": {
        "en": {"source": "demo"},
        "fr": {"format": "conll", "train": "fr/train.conll", "test": {"path": "fr/test.conll", "take": "0:10"}},
    },
    "zero_shot": {"de": {"source": "demo"}},
    "encoder": {"provider": "tiny", "tap": 2},
    "teacher": {"updates": 6, "seeds": [0, 1]},
    "student": {"updates": 8, "head": "linear"},
    "distill": {"objectives": ["baseline", "posterior"], "k": 4, "anneal": {"from": 0.9, "to": 0.1}},
    "seeds": [0, 1],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the valid settings with one key (dots between levels) set, or removed where the value is `...`."""
    return with_value(VALID, path.split("."), value)


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        check_experiment(values, "study.yaml")
    return str(caught.value)


def test_the_settings_that_the_tests_change_are_valid():
    experiment = check_experiment(VALID, "study.yaml")
    assert (experiment.name, tuple(experiment.languages), experiment.distill.k) == ("study", ("en", "fr"), 4)


@pytest.mark.parametrize(
    ("key", "close"),
    [
        ("langages", "languages"),
        ("limit.trian", "train"),
        ("languages.fr.formt", "format"),
        ("languages.fr.test.limt", "limit"),
        ("languages.fr.columns.tagg", "tag"),
        ("languages.fr.teacher.update", "updates"),
        ("languages.fr.teacher.encoder.poling", "pooling"),
        ("zero_shot.de.sorce", "source"),
        ("encoder.provder", "provider"),
        ("teacher.temprature", None),
        ("teacher.updats", "updates"),
        ("student.hiden", "hidden"),
        ("student.seeds", None),
        ("distill.kk", "k"),
        ("distill.anneal.form", "from"),
        ("evaluate.teacher", "teachers"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest_known_one(key: str, close: str | None):
    message = refusal(changed(key, 3))
    assert message.startswith(f"study.yaml: {key}: ")
    assert key.rsplit(".", 1)[-1] in message
    if close:
        assert f"Did you mean {close!r}?" in message


# ---- objectives with settings of their own

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


def test_an_unknown_key_is_named_before_the_key_that_it_was_meant_to_be():
    values = changed("student", {"updats": 8})
    assert "study.yaml: student.updats: unknown key" in refusal(values)


@pytest.mark.parametrize("key", ["(", "[", "a[b", "int"])
def test_an_unknown_key_may_look_like_anything(key: str):
    assert f"study.yaml: {key}: unknown key" in refusal(changed(key, None))


@pytest.mark.parametrize(
    ("key", "value", "close"),
    [
        ("task", "nre", "ner"),
        ("device", "gpu", None),
        ("languages.fr.source", "paths", "path"),
        ("languages.fr.format", "conllx", "conll"),
        ("languages.fr.scheme", "BIOE", "BIOES"),
        ("languages.fr.separator", "tabs", "tab"),
        ("languages.fr.teacher", {"head": "bilstn"}, "bilstm"),
        ("encoder.provider", "hubb", "hub"),
        ("encoder.pooling", "means", "mean"),
        ("teacher.mode", "finetuned", "finetune"),
        ("student.optimizer", "adamw", "adam"),
        ("student.schedule", "linaer", "linear"),
        ("student.select", "makro", "macro"),
        ("distill.objectives", ["baseline", "posterio"], "posterior"),
        ("evaluate.teachers", "alll", "all"),
        ("evaluate.decode", "constraint", "constrained"),
    ],
)
def test_an_unknown_value_is_named_with_the_values_allowed(key: str, value: Any, close: str | None):
    message = refusal(changed(key, value))
    found = value if isinstance(value, str) else next(iter(value.values())) if isinstance(value, dict) else value[-1]
    assert message.startswith(f"study.yaml: {key}")
    assert f"cannot be {found!r}" in message
    assert "Known: " in message
    if close:
        assert f"Did you mean {close!r}?" in message


def test_both_updates_and_epochs_are_refused_and_neither_too():
    for value in ({"updates": 5, "epochs": 2}, {"hidden": 4}):
        message = refusal(changed("teacher", value))
        assert message.startswith("study.yaml: teacher: give `updates` or `epochs`")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("teacher.updates", "many"),
        ("teacher.updates", 0),
        ("teacher.updates", 2.5),
        ("teacher.seeds", []),
        ("teacher.seeds", 3),
        ("student.dropout", 1.5),
        ("student.learning_rate", -1),
        ("student.learning_rate", "fast"),
        ("distill.temperature", 0),
        ("distill.k", 0),
        ("distill.k", 256),
        ("distill.anneal.from", 2),
        ("distill.objectives", []),
        ("distill.objectives", "posterior"),
        ("limit.train", -5),
        ("languages", ["en", "fr"]),
        ("languages", {}),
        ("languages.fr", "fr.conll"),
        ("languages.fr.train", 7),
        ("languages.fr.test.take", "1-10"),
        ("languages.fr.teacher", ["updates"]),
        ("zero_shot", "de"),
        ("seeds", "0"),
        ("name", "a/b"),
        ("name", ""),
        ("name", 8),
        ("encoder.tap", "last"),
        ("encoder.tap", []),
        ("encoder.tap", -1),
        ("encoder.layers", 0),
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_named_with_its_key(key: str, value: Any):
    message = refusal(changed(key, value))
    assert message.startswith(f"study.yaml: {key.split('.')[0]}")
    assert message.count("\n") <= 1 and "pydantic" not in message and "instance of" not in message
    if not isinstance(value, dict | list) and key != "encoder.tap":
        assert repr(value) in message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("task", "NER", "task: cannot be 'NER'\n  Did you mean 'ner'?"),
        ("device", "gpu", "device: cannot be 'gpu'\n  Did you mean 'cuda'?"),
        ("labels", "PER", "labels: cannot be 'PER'\n  Allowed: `upos` or list of text"),
        ("labels", ["B-PER", "I-PER", "O"], "labels: 'B-PER' is a tag, not a type\n  Give the types alone"),
        ("labels", ["PER", "O"], "labels: 'O' cannot be a type"),
        ("seeds", 0, "seeds: a list is needed, not 0\n  Allowed: list of whole numbers"),
        ("seeds", [0, 0], "seeds: a value is given twice ([0, 0])"),
        ("seeds", [2**63], "seeds.0: must be at most 9223372036854775807, not 9223372036854775808"),
        ("teacher.seeds", [1, 2**70], "teacher.seeds.1: must be at most 9223372036854775807"),
        ("seeds", [], "seeds: at least one is needed, not []"),
        ("name", "my study", "name: cannot be 'my study'\n  Allowed: text (letters, digits"),
        ("languages", ["en"], "languages: keys and their values are needed, not ['en']\n  A name for each"),
        ("languages.fr", None, "languages.fr: keys and their values are needed, not nothing"),
        ("languages.fr.train", ["a", "b"], "A path, or keys: path, of, format, take, limit."),
        ("languages.fr.encoding", "utf9", "languages.fr.encoding: no text encoding 'utf9'"),
        ("limit", 100, "limit: keys and their values are needed, not 100\n  Its keys: train, dev, test, unlabelled."),
        ("teacher.updates", "lots", "teacher.updates: a whole number is needed, not 'lots'\n  Allowed: whole number ("),
        ("teacher.dropout", 1.5, "teacher.dropout: must be below 1.0, not 1.5"),
        ("distill.k", 1000, "distill.k: must be at most 255, not 1000"),
        ("encoder.tap", "last", "encoder.tap: cannot be 'last'\n  Allowed: whole number or list of whole numbers"),
        (
            "teacher.schedule",
            "plateau",
            "teacher.schedule: 'plateau' follows the dev score, and there is no dev set of fr",
        ),
        ("languages.fr.teacher", {"schedule": "plateau"}, "study.yaml: languages.fr.teacher.schedule: 'plateau'"),
        ("teacher", {"mode": "finetune", "tune_from": 8, "updates": 1}, "teacher.tune_from: 8 layers are kept frozen"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_a_person(key: str, value: Any, says: str):
    assert says in refusal(changed(key, value))


def test_a_student_may_follow_the_dev_sets_that_there_are():
    check_experiment(changed("student.schedule", "plateau"), "study.yaml")  # en has one
    values = changed("student.schedule", "plateau")
    del values["languages"]["en"]
    assert "student.schedule: 'plateau'" in refusal(values)


def test_a_language_whose_key_yaml_reads_as_a_number_is_told_to_be_quoted():
    values = changed("zero_shot.de", {"source": "demo"})
    values["zero_shot"][1] = {"source": "demo"}
    assert refusal(values) == "study.yaml: zero_shot.1: a key must be text, not 1\n  Write it in quotes: '1'."


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("languages.fr.code", "no", "text is needed, not False\n  YAML reads no, off, n without quotes as false"),
        ("languages.fr.subset", "on", "text is needed, not True\n  YAML reads yes, on, y without quotes as true"),
        ("languages.fr.release", "2.10", "text is needed, not 2.1\n  YAML reads it as a number"),
        ("languages.fr.train", "2024-01-02", "  YAML reads 2024-01-02 without quotes as a date: write it in quotes"),
        ("languages.fr.train.take", "1:50", "text is needed, not 110\n  YAML reads it as a number (1:2 as 62"),
        ("labels", "[PER, NO]", "cannot be ['PER', False]\n  YAML reads no, off, n without quotes as false"),
        ("labels", "[1, PER]", "  YAML reads it as a number"),
        ("labels", "[PER, null]", "  YAML reads null, ~ and an empty value as nothing"),
        ("name", "2024-05-01", "  YAML reads 2024-05-01 without quotes as a date"),
        ("languages", "{on: {train: x}}", "languages.True: a key must be text, not True\n  YAML reads yes, on, y"),
        ("languages.fr.label_map", "{NO: O}", "label_map.False: a key must be text, not False\n  YAML reads no, off"),
    ],
)
def test_what_yaml_reads_without_quotes_is_said_for_keys_and_values(key: str, text: str, says: str):
    values = changed("languages.fr.train", {"path": "x"}) if key.endswith("take") else changed("name", "study")
    *parents, last = key.split(".")
    owner = values
    for parent in parents:
        owner = owner[parent]
    owner[last] = yaml.safe_load(text)
    assert says in refusal(values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seeds", ["x"]),
        ("languages.fr.strict", "maybe"),
        ("languages.fr.columns", [0, 1]),
        ("distill.teachers", {"own": 0}),
        ("distill.teachers", 3),
        ("distill.objectives", ["baseline", {"name": "token", "teachers": {"own": None}}]),
    ],
)
def test_other_values_are_no_matter_of_quotes(key: str, value: Any):
    assert "YAML" not in refusal(changed(key, value))


def test_one_name_of_a_teacher_is_a_list_of_it():
    values = changed("distill", {"teachers": "all", "objectives": ["posterior", {"name": "token", "teachers": "own"}]})
    distill = check_experiment({**values, "teachers": {"all": {}}}, "study.yaml").distill
    assert [distill.resolve(name).teachers for name in ("posterior", "token")] == [{"all": 1.0}, {"own": 1.0}]
    assert "Allowed: text, list of text, or names with weights" in refusal(changed("distill.teachers", 3))


@pytest.mark.parametrize("key", ["name", "task", "labels", "languages", "teacher", "student"])
def test_a_needed_key_that_is_missing_is_named(key: str):
    assert refusal(changed(key, ...)).startswith(f"study.yaml: {key}: this key is needed")


@pytest.mark.parametrize(("group", "language", "split"), [("languages", "fr", "train"), ("zero_shot", "it", "test")])
def test_a_language_needs_the_split_it_is_used_for(group: str, language: str, split: str):
    message = refusal(changed(f"{group}.{language}", {"dev": "dev.conll"}))
    assert message.startswith(f"study.yaml: {group}.{language}: no {split!r} split is given")


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_zero_shot_language_is_not_trained(split: str):
    says = f"zero_shot.de.{split}: a zero-shot language has no {split!r}\n  Take it out, or move the language to `lang"
    assert says in refusal(changed("zero_shot.de", {"test": "de.conll", split: "de-train.conll"}))


def test_a_language_is_trained_or_zero_shot_but_not_both():
    assert "study.yaml: zero_shot.fr: 'fr' is both" in refusal(changed("zero_shot.fr", {"test": "x"}))


@pytest.mark.parametrize("key", ["f r", "fr/x", "é", ""])
def test_a_language_id_that_would_not_do_as_a_folder_is_refused(key: str):
    values = changed("languages.fr", ...)
    values["languages"][key] = {"train": "x"}
    assert refusal(values).startswith(f"study.yaml: languages.{key}: a language's key is made of")


def test_a_language_that_the_demo_has_not_is_named_with_those_it_has():
    message = refusal(changed("languages.xx", {"source": "demo"}))
    assert message.startswith("study.yaml: languages.xx: ")
    assert "Known: ar, de" in message


def test_a_treebank_needs_its_name_and_release():
    assert "study.yaml: languages.sv.treebank: source 'ud' needs" in refusal(changed("languages.sv", {"source": "ud"}))


@pytest.mark.parametrize(
    ("task", "labels", "says"),
    [
        ("pos", ["NOUN"], "needs `labels: upos`"),
        ("ner", "upos", "needs the list of entity types"),
        ("ner", ["PER", "PER"], "without repeats"),
        ("ner", ["B-PER", "I-PER", "B-LOC", "I-LOC", "O"], "'B-PER' is a tag, not a type"),
        ("aspect", [], "without repeats"),
        ("ner", "PER", "labels"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused(task: str, labels: Any, says: str):
    renamed = {"fr": VALID["languages"]["fr"] | {"label_map": {"PESSOA": "PER", "LUGAR": "LOC"}}}
    for languages in ({}, renamed):  # what they are renamed to is judged afterwards
        message = refusal(VALID | {"task": task, "labels": labels, "languages": VALID["languages"] | languages})
        assert message.startswith("study.yaml: labels")
        assert says in message


def test_a_hub_encoder_needs_its_id_and_the_commit():
    assert "needs `id`" in refusal(changed("encoder", {"provider": "hub"}))
    message = refusal(changed("encoder", {"provider": "hub", "id": "a/b"}))
    assert message.startswith("study.yaml: encoder: ")
    assert "needs `revision`" in message


@pytest.mark.parametrize("revision", ["main", "v1.0", "3f076fdb", "3F" * 20])
def test_a_branch_a_tag_or_half_a_commit_is_refused_for_an_encoder(revision: str):
    message = refusal(changed("encoder", {"provider": "hub", "id": "a/b", "revision": revision}))
    assert message.startswith(f"study.yaml: encoder.revision: {revision!r} is not a commit\n  Pin the commit, all 40")


@pytest.mark.parametrize(
    ("path", "value", "key", "says"),
    [
        (
            "languages.fr.label_map",
            {"PERSON": "PRE"},
            "label_map.PERSON",
            "'PRE' is not in the label space\n  Did you mean 'PER'?",
        ),
        ("languages.fr.encoding", "latin1x", "encoding", "no text encoding 'latin1x'\n  Did you mean 'latin-1'?"),
        ("languages.fr.encoding", "base64", "encoding", "no text encoding 'base64'"),
        ("languages.fr.test.take", "5:2", "test.take", "holds no sentence"),
        ("languages.fr.test.take", "5:5", "test.take", "holds no sentence"),
        ("languages.fr.test.take", "a:5", "test.take", "cannot be 'a:5'"),
        ("languages.fr.test.of", "train", "test", "give `path`, or `of`"),
        ("languages.fr.dev", {"take": "0:5"}, "dev", "`path` is needed"),
        ("languages.fr.sha256", {"train": "12"}, "sha256.train", "cannot be '12'\n  Allowed: 64 hexadecimal digits ("),
        ("languages.fr.label_map", {"train": 5}, "label_map.train", "Allowed: text (other names of labels"),
        ("languages.fr.columns", {"tag": [1]}, "columns.tag", "cannot be [1]\n  Allowed: whole number or text ("),
        ("languages.fr.sha256", {"trian": "0" * 64}, "sha256.trian", "Did you mean 'train'?"),
        ("languages.fr.source", "wikian", "source", "Did you mean 'wikiann'?"),
    ],
)
def test_what_a_language_cannot_mean_is_refused_by_its_key(path: str, value: Any, key: str, says: str):
    message = refusal(changed(path, value))
    assert message.startswith(f"study.yaml: languages.fr.{key}: "), message
    assert says in message


@pytest.mark.parametrize(
    ("language", "key", "says"),
    [
        ({"source": "ud", "treebank": "../x", "release": "r2.5"}, "treebank", "'../x' is not the name of a treebank"),
        ({"source": "ud", "treebank": "French-GSD", "release": "main"}, "release", "'main' is not a release"),
        ({"source": "hub", "dataset": "a/b", "revision": "main"}, "revision", "all 40 digits"),
        ({"source": "hub", "dataset": "b", "revision": "0" * 40}, "dataset", "'b' is not OWNER/NAME"),
        ({"source": "wikiann", "code": "../fa"}, "code", "not a code of WikiAnn"),
        ({"source": "conll2002", "code": "ned"}, "", "CoNLL-2002 has no language 'ned'\n  Known: es, nl."),
        ({"source": "conll2002", "code": "nl", "unlabelled": {"take": "1:"}}, "unlabelled", "of: train"),
        ({"source": "conll2003"}, "", "Add `train: FILE`. CoNLL-2003 may not be passed on"),
    ],
)
def test_a_source_that_cannot_give_it_is_refused_before_anything_runs(language: dict[str, Any], key: str, says: str):
    message = refusal(changed("languages.xx", language))
    assert message.startswith(f"study.yaml: languages.xx{'.' * bool(key)}{key}: "), message
    assert says in message


def test_a_file_that_must_be_brought_says_where_to_ask(tmp_path: Path):
    values = changed("languages.xx", {"source": "conll2003", "train": "en.train", "test": "en.test"})
    del values["languages"]["fr"]
    with pytest.raises(ConfigError, match=r"languages\.xx\.train: no such file") as caught:
        Plan(check_experiment(values, "study.yaml"), tmp_path).check_files("study.yaml")
    assert "trec.nist.gov" in caught.value.hint


# -- files


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "study.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


BROKEN = {
    "a key twice": ("name: a\ntask: ner\nname: b\n", "study.yaml:3: key 'name' is written twice"),
    "a nested key twice": ("distill:\n  k: 3\n  k: 4\n", "study.yaml:3: key 'k' is written twice"),
    "a list": ("- a\n- b\n", "holds no settings"),
    "a word": ("hello\n", "holds no settings"),
    "nothing": ("", "holds no settings"),
    "an open bracket": ("name: [a\nx: }\n", "study.yaml:2: not valid YAML"),
    "a tab": ("name: x\n\ttask: ner\n", "Indent with spaces, not with tabs"),
    "two documents": ("name: a\n---\nname: b\n", "another document"),
    "an object of Python": ('name: !!python/object/apply:os.system ["true"]\n', "python/object"),
    "Latin-1": (b"name: caf\xe9\n", "not UTF-8"),
    "UTF-16": ("name: x\n".encode("utf-16"), "not UTF-8"),
    "a null byte": (b"name: a\0b\n", "unacceptable character"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_no_settings_is_named_with_the_cause(case: str, tmp_path: Path):
    text, says = BROKEN[case]
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    for path, says in ((tmp_path / "absent.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=says) as caught:
            read_yaml(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("group", ["languages", "zero_shot"])
def test_the_key_no_is_norwegian(group: str, tmp_path: Path):
    files = {"train": "a", "test": "b"} if group == "languages" else {"test": "b"}
    text = yaml.safe_dump(VALID | {group: {"xx": files}}).replace("xx:", "no:")
    assert "no" in getattr(read_experiment(written(tmp_path, text)), group)


def test_norwegian_with_and_without_quotes_is_a_key_twice(tmp_path: Path):
    text = yaml.safe_dump(VALID | {"languages": {"xx": {"train": "a"}, "yy": {"train": "b"}}})
    text = text.replace("xx:", "no:").replace("yy:", "'no':")
    with pytest.raises(ConfigError, match="languages: the key 'no' is written twice"):
        read_experiment(written(tmp_path, text))


def test_other_keys_that_yaml_does_not_read_as_text_are_refused(tmp_path: Path):
    for key in ("12", "null", "on"):
        text = yaml.safe_dump(changed("languages.xx", {"train": "a"})).replace("xx:", f"{key}:")
        with pytest.raises(ConfigError, match="languages"):
            read_experiment(written(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"# caf\xe9\nname: a\n", ":1: not UTF-8: invalid continuation byte\n  Save the file as UTF-8."),
        ("name: a\nx: é\n".encode("utf-16"), ":1: not UTF-8: invalid start byte\n  Save the file as UTF-8."),
        (b"name: a\n" * 5000 + b"x: \xe9\n", ":5001: not UTF-8: invalid continuation byte\n  Save the file as UTF-8."),
        (
            b"name: a\ntask:ner\nx: 1\n",
            ":3: not valid YAML: could not find expected ':'\n  A colon needs a blank after it",
        ),
        (
            b"a: {b: 1\nc: 2\n",
            ":2: not valid YAML: expected ',' or '}', but got ':'\n  Is a bracket before it not closed?",
        ),
        (
            b"a:\n  b: 1\n   c: 2\n",
            "not valid YAML: mapping values are not allowed here\n  Keys of the same level begin",
        ),
        (
            b"a:\n   b: 1\n  c: 2\n",
            ":3: not valid YAML: expected <block end>, but found '<block mapping start>'\n  Keys of",
        ),
    ],
)
def test_a_file_that_is_no_yaml_says_where_and_what_to_do(tmp_path: Path, content: bytes, says: str):
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_experiment(file)
    assert says in str(caught.value) and str(caught.value).startswith(str(file))


def test_a_decimal_comma_is_told_from_a_key():
    message = refusal(changed("student", {"updates": 8, "dropout": 0, 5: None}))
    assert message.startswith("study.yaml: student.5: a key must be text, not 5\n  A number is written with a point")


def test_a_number_in_any_notation_is_a_number(tmp_path: Path):
    text = yaml.safe_dump(VALID).replace("updates: 8", "updates: 8\n  learning_rate: 4e-3")
    assert read_experiment(written(tmp_path, text)).student.learning_rate == 4e-3


def test_overrides_replace_keys_of_the_file(tmp_path: Path):
    assert read_experiment(written(tmp_path, yaml.safe_dump(VALID)), root="/elsewhere").root == "/elsewhere"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["tagdistill", *arguments])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_says_in_one_message_what_is_wrong(tmp_path: Path, monkeypatch, capsys):
    path = written(tmp_path, yaml.safe_dump(changed("distill.kk", 3)))
    assert run(monkeypatch, "config", "check", str(path)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {path}: distill.kk: unknown key\n  Did you mean 'k'?")
    assert "Traceback" not in said.err


def test_the_command_names_a_file_that_is_not_there_and_finds_it_below_root(tmp_path: Path, monkeypatch, capsys):
    path = written(tmp_path, yaml.safe_dump(VALID))
    assert run(monkeypatch, "config", "check", str(path)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: languages.fr.train: no such file")
    assert "fr/train.conll" in said and f"`root:`, here {Path.cwd()}. Set it there, or with `--root FOLDER`" in said
    (tmp_path / "fr").mkdir()
    for split in ("train", "test"):
        (tmp_path / "fr" / f"{split}.conll").touch()
    assert run(monkeypatch, "config", "check", str(path), "--root", str(tmp_path), "--no-data") == 0
    assert capsys.readouterr().out.startswith(f"{path}: fine. study: ner, 2 trained languages (en, fr), 1 zero-shot")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("fr/trian.conll", "Did you mean 'train.conll'? Relative paths start at"),
        ("fr/Train.CONLL", "Did you mean 'train.conll'? Relative paths start at"),
        ("fr/other", "Relative paths start at"),
        ("rf/x/train.conll", "There is no folder {root}/rf. Relative paths start at"),
        ("fr/train.conll/x", "Relative paths start at"),
    ],
)
def test_the_nearest_file_is_named_or_the_folder_that_is_not_there(tmp_path: Path, path: str, hint: str):
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr/train.conll").touch()
    values = changed("languages.fr.train", path) | {"root": str(tmp_path)}
    with pytest.raises(ConfigError) as caught:
        Plan(check_experiment(values, "study.yaml"), Path.cwd()).check_files("study.yaml")
    assert str(caught.value).splitlines()[1].strip().startswith(hint.format(root=tmp_path))


# -- presets, aliases, one language's teacher


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


# -- anything else

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["path", "ud", "demo", "conllu", "crf", "paper", "upos", "fr", "0:5", "auto"]),
)
KEYS = st.one_of(
    st.sampled_from(["en", "fr", "train", "path", "teacher", "preset", "updates", "epochs", "encoder", "tap", "from"]),
    st.text(max_size=3),
    st.integers(0, 3),
    st.booleans(),
    st.none(),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside settings."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Draw the valid settings with one to three places changed, removed or extended."""
    values = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(values)[1:] or [("name",)]))
        place: Any = values
        for key in path[:-1]:
            place = place[key]
        action = draw(st.sampled_from(["set", "remove", "add"]))
        if action == "set":
            place[path[-1]] = draw(ANYTHING)
        elif action == "remove":
            del place[path[-1]]
        elif isinstance(place, dict):
            place[draw(KEYS)] = draw(ANYTHING)
    return values


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=mutated())
def test_any_settings_are_an_experiment_or_a_config_error(values: dict[Any, Any]):
    try:
        experiment = check_experiment(values, "study.yaml")
    except ConfigError as error:
        assert str(error).startswith("study.yaml")
    else:
        assert isinstance(experiment, Experiment)
        plan = Plan(experiment, Path("/absent"))
        assert [plan.specs.prepare(name, split) for name in plan.runs.languages for split in plan.runs.splits(name)]
        assert all(plan.specs.teacher(str(x.teacher), x.decoder, x.seed) for x in plan.runs.teachers)


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=60), ANYTHING.map(yaml.safe_dump)))
def test_any_text_is_settings_or_a_config_error(text: str, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        assert isinstance(read_yaml(path), dict)
    except ConfigError as error:
        assert str(error).startswith(str(path))


@pytest.mark.parametrize(("path", "says"), [("name", "at most 60 characters"), ("languages", "60 of them at most")])
def test_names_that_are_too_long_for_folders_are_refused(path: str, says: str):
    long = "x" * 61
    value = long if path == "name" else {**VALID["languages"], long: VALID["languages"]["fr"]}
    assert says in refusal(changed(path, value))
