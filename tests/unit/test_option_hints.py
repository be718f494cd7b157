"""`predict` and `evaluate` read files without a config: their hints name options, never keys of a config."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tagdistill.data.readers.options import Reading, in_options
from tagdistill.data.readers.read import read
from tagdistill.errors import ConfigError, DataError
from tagdistill.settings.language import Language

KEY = re.compile(r"`\w+:")
FILES: dict[str, tuple[dict[str, str], bytes]] = {
    "a comment": ({"format": "conll", "separator": "tab"}, b"# text\nAda\tB-PER\n"),
    "one column": ({"format": "conll"}, b"Ada\nsings\n"),
    "uneven columns": ({"format": "conll"}, b"Ada B-PER\nsings\n"),
    "an empty token": ({"format": "conll", "separator": "tab"}, b"\tB-PER\n"),
    "columns that are no CoNLL-U": ({"format": "conllu"}, b"Ada B-PER\n"),
    "Latin-1": ({"format": "conll"}, b"caf\xe9 O\n"),
    "nothing": ({"format": "conll"}, b""),
    "text that is scored": ({"format": "text"}, b"Ada sings .\n"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read_is_told_without_keys(case: str, tmp_path: Path):
    settings, content = FILES[case]
    file = tmp_path / "input.conll"
    file.write_bytes(content)
    with pytest.raises(DataError) as before:
        list(read(file, Language.model_validate(settings), name="test"))
    with pytest.raises(DataError) as caught, in_options():
        list(read(file, Language.model_validate(settings), name="test"))
    assert caught.value.where == before.value.where
    assert not KEY.search(str(caught.value))
    assert bool(caught.value.hint) == bool(before.value.hint)
    assert not str(caught.value).endswith(";")


def test_a_file_in_another_encoding_is_read_as_it_is_told(tmp_path: Path):
    file = tmp_path / "x.conll"
    file.write_bytes("café O\n".encode("latin-1"))
    with pytest.raises(DataError) as caught, in_options():
        list(read(file, Reading().language(file)))
    assert caught.value.hint.endswith("such as `--encoding latin-1`.")
    (sentence,) = read(file, Reading(encoding="latin-1").language(file))
    assert sentence.tokens == ["café"]


def test_a_file_that_is_not_there_has_no_root():
    for separator in ("auto", "tab"):
        with pytest.raises(DataError) as caught, in_options():
            file = Path("none.conll")
            list(read(file, Reading(separator=separator).language(file), name="test"))
        assert str(caught.value) == "none.conll: no such file"


def test_the_nearest_file_is_named_without_the_root(tmp_path: Path):
    (tmp_path / "raw.txt").touch()
    for name, hint in (("rwa.txt", "Did you mean 'raw.txt'?"), ("x/raw.txt", f"There is no folder {tmp_path}/x.")):
        with pytest.raises(DataError) as caught, in_options():
            list(read(tmp_path / name, Reading("text").language(tmp_path / name), name="unlabelled"))
        assert str(caught.value) == f"{tmp_path / name}: no such file\n  {hint}"


def test_a_folder_is_told_to_be_one(tmp_path: Path):
    for kind in ("auto", "conll", "parquet"):
        with pytest.raises(DataError) as caught, in_options():
            list(read(tmp_path, Reading(kind).language(tmp_path), name="test"))
        said = f"{tmp_path}: this is a folder, a file is needed\n  Name one of the files in it."
        assert str(caught.value) == said


def test_keys_of_reading_are_named_as_options():
    hint = "Use `scheme: BIOES`. `skip_lines: 1` and `broken: leave_out` leave it out, as `comment:` does."
    with pytest.raises(DataError) as caught, in_options():
        raise DataError("tag", hint=hint)
    wanted = "Use `--scheme BIOES`. `--skip-lines 1` and `--broken leave_out` leave it out, as `--comment` does."
    assert caught.value.hint == wanted


def test_keys_become_options_and_with_a_config_the_rest_stays():
    error = DataError("x", hint="Set `columns: {token: 1, tag: -1}`; or rename it: `label_map: {A: ...}`; see `root:`.")
    wanted = "Set `--columns token=1,tag=-1`; or rename it: `--label-map A=...`"
    for config, end in ((False, "."), (True, "; see `root:`.")):
        with pytest.raises(DataError) as caught, in_options(config=config):
            raise error
        assert caught.value.hint == wanted + end


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("columns", "3", "--columns: '3' is not NAME=VALUE\n  Such as --columns token=1,tag=3."),
        ("columns", "", "--columns: '' is not NAME=VALUE"),
        ("columns", "token=1,token=2", "--columns: 'token=2' is given twice"),
        ("columns", "tokn=1", "--columns: cannot be 'tokn'\n  Did you mean 'token'? Known: tag, token."),
        ("label_map", "PERSON:PER", "--label-map: 'PERSON:PER' is not NAME=VALUE\n  Such as --label-map PERSON=PER"),
        ("label_map", "A=B,A=C=D", "--label-map: 'A=C=D' is given twice"),
        ("scheme", "IOB9", "--scheme: cannot be 'IOB9'\n  Did you mean 'IOB2'?"),
        ("encoding", "latin-99", "--encoding: no text encoding 'latin-99'"),
        ("separator", "comma", "--separator: cannot be 'comma'"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(option: str, value: str, message: str, tmp_path: Path):
    file = tmp_path / "x.conll"
    file.write_text("Ada B-PER\n")
    with pytest.raises(ConfigError) as caught, in_options():
        list(read(file, Reading(**{option: value}).language(file)))
    assert str(caught.value).startswith(message)


def test_lists_and_mappings_may_stand_between_the_brackets_of_a_config():
    bare = Reading("jsonl", names="O,B-PER", columns="token=a,tag=b", label_map="A=PER,B=LOC")
    same = Reading("jsonl", names="[O, B-PER]", columns="{token=a, tag=b}", label_map="{A=PER, B=LOC}")
    assert same.settings("jsonl") == bare.settings("jsonl")
    with pytest.raises(DataError) as caught, in_options():
        raise DataError("x", hint="Give their names in order: `names: [O, B-PER, ...]`.")
    assert caught.value.hint == "Give their names in order: `--names O,B-PER,...`."


def test_the_format_is_that_of_the_ending_before_gz(tmp_path: Path):
    for name, kind in (("x.conll.gz", "conll"), ("x.JSONL", "jsonl"), ("x.txt.GZ", "text")):
        assert Reading().language(tmp_path / name).format == kind
    with pytest.raises(DataError, match=r"the ending '\.tar' does not tell"):
        Reading().language(tmp_path / "x.tar.gz")
