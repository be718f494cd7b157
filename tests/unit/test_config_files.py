"""Files of settings: what is wrong with one is said with its line, and what the commands make of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from configs import VALID, changed, refusal

from tagdistill.cli import main as cli
from tagdistill.errors import ConfigError
from tagdistill.experiment.config import check_experiment, read_experiment, read_yaml
from tagdistill.experiment.plan import Plan


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
