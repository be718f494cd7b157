"""The guide's page of formats: it lists what there is, and each recipe writes a file that is read as it says."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from tagdistill.data.labels import spans
from tagdistill.data.prepare import read_split
from tagdistill.data.readers.format import load_format
from tagdistill.settings.language import Language
from tagdistill.settings.names import FORMATS, Scheme, names_in

PAGE = (Path(__file__).parents[2] / "docs/guide/formats.md").read_text(encoding="utf-8")
RECIPES = {
    title: (program, kind)
    for title, program, kind in re.findall(r"^### (.*?)\n.*?```python\n(.*?)```\n\n`format: (\w+)`", PAGE, re.M | re.S)
}
BRAT = {
    "a.txt": "\r\nAda Lovelace left Oslo.\r\n",  # brat counts both characters of a line end
    "a.ann": "T1\tPER 2 14\tAda Lovelace\nT2\tLOC 20 24\tOslo\nR1\tX Arg1:T1 Arg2:T2\n",
}
BRACKETS = (
    "#begin document\nx 0 0 Ada N (PER*\nx 0 1 Lovelace N *)\nx 0 2 left V *\nx 0 3 Oslo N (LOC)\n\n#end document\n"
)
COMMAS = 'Sentence #,Word,POS,Tag\nSentence: 1,Ada,N,B-PER\n,Lovelace,N,I-PER\n,left,V,O\n,Oslo,N,B-LOC\n,",",X,O\n'
EXCEL = '\ufeffAda\tB-PER\r\nLovelace\tI-PER\r\nleft\tO\r\nOslo\tB-LOC\r\n","\tO\r\n\t\r\n""""\tO\r\n'
INPUTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "brat": (BRAT, ["."]),
    "spaCy's DocBin": ({"docs": ""}, ["docs"]),
    "Brackets of CoNLL-2012": ({"x": BRACKETS}, ["x", "3", "5"]),
    "`word|pos|tag`": ({"x": "Ada|N|B-PER Lovelace|N|I-PER left|V|O Oslo|N|B-LOC\nx|X|O\n"}, ["x"]),
    "Columns between commas": ({"x": COMMAS}, ["x"]),
    "Text from Excel": ({"x": EXCEL}, ["x"]),
}


def test_the_page_lists_every_format_with_its_endings_and_every_scheme():
    rows = dict(re.findall(r"^\| `(\w+)` \| .*? \|(?: (.*?) \|| \|)$", PAGE, re.MULTILINE))
    for name in names_in(FORMATS):
        assert re.findall(r"`(\.\w+)`", rows[name]) == list(load_format(name).endings)
    assert set(get_args(Scheme)) <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def token(text: str, iob: str, kind: str) -> SimpleNamespace:
    return SimpleNamespace(text=text, ent_iob_=iob, ent_type_=kind, is_space=not text.strip())


class FakeDocBin:
    """What the recipe asks of spaCy's class of this name."""

    def from_disk(self, path: str) -> FakeDocBin:
        assert Path(path).exists()
        return self

    def get_docs(self, vocab: Any) -> list[list[SimpleNamespace]]:
        rows = [("Ada", "B", "PER"), ("Lovelace", "I", "PER"), ("\n", "O", ""), ("left", "O", ""), ("Oslo", "B", "LOC")]
        return [[token(*row) for row in rows]]


@pytest.mark.parametrize("title", INPUTS)
def test_a_recipe_writes_a_file_that_is_read(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program, kind = RECIPES[title]
    monkeypatch.chdir(tmp_path)
    files, arguments = INPUTS[title]
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8", newline="")
    spacy, tokens = types.ModuleType("spacy"), types.ModuleType("spacy.tokens")
    spacy.blank, tokens.DocBin = lambda _: SimpleNamespace(vocab=None), FakeDocBin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setitem(sys.modules, "spacy.tokens", tokens)
    monkeypatch.setattr(sys, "argv", ["recipe.py", *arguments])
    with contextlib.redirect_stdout(io.StringIO()) as written:
        exec(compile(program, title, "exec"), {})
    Path("out").write_text(written.getvalue(), encoding="utf-8")
    settings = Language.model_validate({"train": "out", "format": kind})
    found = read_split(Path("out"), language="x", split="train", settings=settings, task="ner", labels=("PER", "LOC"))
    assert found.labels is not None
    first = found.sentences[0].tokens
    assert [(" ".join(first[a:b]), label) for label, a, b in spans(found.labels[0])] == [
        ("Ada Lovelace", "PER"),
        ("Oslo", "LOC"),
    ]
    assert found.notes.kinds == {} and found.warnings == []


def test_every_recipe_is_tried():
    assert set(RECIPES) == set(INPUTS)
