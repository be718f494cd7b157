"""`predict` and `evaluate` read files without a config: their hints name options, never keys of a config."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tagdistill.data.labels import to_bioes
from tagdistill.data.readers import read
from tagdistill.errors import DataError
from tagdistill.evaluation.predict import in_options
from tagdistill.settings import Language

KEY = re.compile(r"`\w+:")
FILES: dict[str, tuple[dict[str, str], bytes]] = {
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
    with pytest.raises(DataError) as told, in_options():
        list(read(file, Language.model_validate(settings), name="test"))
    assert told.value.where == before.value.where
    assert not KEY.search(str(told.value))
    assert bool(told.value.hint) == bool(before.value.hint)


def test_a_file_that_is_not_there_has_no_root():
    with pytest.raises(DataError) as told, in_options():
        list(read(Path("none.conll"), Language.model_validate({"format": "conll"}), name="test"))
    assert str(told.value) == "none.conll: no such file"


def test_a_scheme_is_named_as_the_option():
    with pytest.raises(DataError) as told, in_options():
        try:
            to_bioes(["B-PER", "E-PER"], "IOB2")
        except Exception as error:
            raise DataError("tag", hint=error.hint) from error  # type: ignore[attr-defined]
    assert told.value.hint == "Use `--scheme BIOES` for this file."
