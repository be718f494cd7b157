"""A config file is refused with the file, the key, the value and what is allowed instead; or it is an experiment."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from configs import VALID, changed, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagdistill.errors import ConfigError
from tagdistill.experiment.config import check_experiment, read_yaml
from tagdistill.experiment.plan import Plan
from tagdistill.settings.experiment import Experiment


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
