"""Whole real files, where their folder is at hand: every sentence and token of its own table of contents."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from tagdistill.artifacts.files import read_json
from tagdistill.data.corpus import read_corpus
from tagdistill.data.labels import from_spans, spans
from tagdistill.data.prepare import prepare
from tagdistill.data.readers.notes import DOCUMENT_BORDERS, Notes
from tagdistill.data.readers.read import read
from tagdistill.data.report import report
from tagdistill.errors import DataError
from tagdistill.settings.language import Language

ROOT = Path(os.environ.get("TAGDISTILL_REAL_DATA", "no such folder"))
ROW = re.compile(r"\| (\S+\.(?:conllu|conll)) \|.*?\| \d+ / \d+ \| (\d+) / (\d+) \| (?:\d+ types?: ([^|]*?)|[^|]*?) \|")
TAB = {"format": "conll", "separator": "tab"}
INDEXED = {**TAB, "columns": {"token": 1, "tag": 2}}
SETS = {
    "pos/ud": {"format": "conllu"},
    "ner/wikiann": {"format": "wikiann"},
    "ner/wikiann_xtreme": TAB,
    "ner/wikiann_indexed": INDEXED,
    "ner/wikineural": INDEXED,
    "ner/conll2002": {"format": "conll"},
    "ner/uner": {**INDEXED, "comment": "# "},
    "ner/turku": TAB,
    "ner/ssj500k": {"format": "conll"},
    "ner/basqueglue_nercid": TAB,
    "ner/nergrit": TAB,
    "ner/gsd_ne": TAB,
    "ner/germeval2014": {**INDEXED, "comment": "#\t"},
    "ner/masakhaner2": {"format": "conll"},
    "aspect/multibooked": TAB,
    "aspect/norec_fine": TAB,
    "aspect/indonlu_terma": TAB,
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "README.md").is_file(),
        reason="the folder of real data sets is not at hand (set TAGDISTILL_REAL_DATA)",
    ),
]


def table() -> dict[str, tuple[int, int]]:
    """Return sentences and tokens of each file, as the folder's README has them (-DOCSTART- lines not counted)."""
    rows = map(ROW.match, (ROOT / "README.md").read_text(encoding="utf-8").splitlines())
    return {row[1]: (int(row[2]), int(row[3])) for row in rows if row}


def of_set(name: str) -> list[str]:
    files = [file for file in table() if file.startswith(f"{name}/")]
    assert files
    return files


def grep(file: str, pattern: str) -> int:
    return len(re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def test_the_table_is_read_whole():
    listed = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("*/*/*/*.conll*") if "wikiann_samples" not in p.parts}
    assert set(table()) == listed and len(listed) > 100
    assert {"/".join(file.split("/")[:2]) for file in listed} == set(SETS)


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_file_has_the_sentences_and_tokens_of_the_table(name):
    wrong = {}
    for file in of_set(name):
        notes = Notes()
        found = list(read(ROOT / file, Language(**SETS[name]), notes=notes))
        if (counts := (len(found), sum(len(s.tokens) for s in found))) != table()[file]:
            wrong[file] = (counts, table()[file], notes.counts())
        if name != "pos/ud":
            assert notes.count(DOCUMENT_BORDERS) == grep(file, "^-DOCSTART-[ \t]")
    assert not wrong


def test_ranges_and_empty_nodes_are_all_found():
    for file in of_set("pos/ud"):
        notes = Notes()
        found = list(read(ROOT / file, Language(format="conllu"), notes=notes))
        assert sum(len(s.multiword) for s in found) == grep(file, r"^\d+-\d+\t"), file
        assert notes.count("empty nodes left out") == grep(file, r"^\d+\.\d+\t"), file
        assert all(s.source_id for s in found) or not grep(file, "^# sent_id = "), file


@pytest.mark.parametrize("name", sorted(set(SETS) - {"pos/ud"}))
def test_every_span_set_becomes_the_spans_that_conlleval_reads(name, tmp_path):
    for file in of_set(name):
        raw = list(read(ROOT / file, Language(**SETS[name])))
        types = sorted({tag.partition("-")[2] for sentence in raw for tag in sentence.tags} - {""})
        out = tmp_path / "test.parquet"
        settings = Language(test=file, **SETS[name])
        prepare(ROOT / file, out, language="x", split="test", settings=settings, task="ner", labels=types)
        corpus = read_corpus(out)
        assert all(from_spans(spans(labels), len(labels)) == labels for labels in corpus.labels)
        expected = [[(k, a, b + 1) for k, a, b in get_entities(sentence.tags)] for sentence in raw]
        assert [spans(labels) for labels in corpus.labels] == expected, file


def test_every_treebank_is_prepared_and_reported(tmp_path):
    languages = sorted({file.split("/")[2] for file in of_set("pos/ud")})
    assert len(languages) == 43
    for language in languages:
        corpora = {}
        for path in sorted((ROOT / "pos/ud" / language).glob("*.conllu")):
            settings = Language.model_validate({"format": "conllu", path.stem: str(path.relative_to(ROOT))})
            corpora[path.stem] = tmp_path / language / f"{path.stem}.parquet"
            arguments = {"language": language, "split": path.stem, "task": "pos", "labels": "upos", "limit": 150}
            prepare(path, corpora[path.stem], settings=settings, **arguments)
        report(corpora, tmp_path / language / "report.json")
        facts = read_json(tmp_path / language / "report.json")["splits"]
        assert all(0 < split["sentences"] <= 150 and split["lengths"]["max"] > 1 for split in facts.values())


def test_the_format_samples_of_wikiann():
    samples = sorted(ROOT.glob("ner/wikiann_samples/*/*.conll"))
    assert len(samples) == 120
    assert all(len(list(read(path, Language(format="wikiann")))) == 1 for path in samples)


def test_a_wrong_layout_is_an_error_with_the_line_not_another_reading():
    for file, language in (("ner/conll2002/es/test.conll", TAB), ("ner/uner/da/test.conll", INDEXED)):
        with pytest.raises(DataError, match="column") as caught:
            list(read(ROOT / file, Language(**language)))
        assert caught.value.where == f"{ROOT / file}:1"
    with pytest.raises(DataError, match="no language prefix"):
        list(read(ROOT / "ner/wikiann_xtreme/da/test.conll", Language(format="wikiann")))
    with pytest.raises(DataError, match="CoNLL-U has 10"):
        list(read(ROOT / "ner/wikineural/pl/test.conll", Language(format="conllu")))
