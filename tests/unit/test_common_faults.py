"""Faults and layouts that files of real data sets often have: each is read as meant, or reported with what to do."""

from __future__ import annotations

import gzip
import io
import logging
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagdistill.cli.main import PrintableFormatter
from tagdistill.data.corpus import read_corpus
from tagdistill.data.labels import spans
from tagdistill.data.prepare import Read, prepare, read_split
from tagdistill.data.readers.format import NULS
from tagdistill.data.readers.notes import LONG, Notes
from tagdistill.data.readers.read import read
from tagdistill.errors import DataError
from tagdistill.formatting import printable
from tagdistill.settings.language import Language

THREE = ("PER", "LOC", "ORG")


@pytest.fixture
def reading(tmp_path: Path):
    """Write a file and read it as one split."""

    def run(
        content: str | bytes,
        *,
        split: str = "train",
        file: str = "x.conll",
        labels=THREE,
        task="ner",
        take=None,
        **keys,
    ) -> Read:
        path = tmp_path / file
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        settings = Language.model_validate({split: {"path": file, "take": take}, **keys})
        return read_split(path, language="x", split=split, settings=settings, task=task, labels=labels)

    return run


@pytest.fixture
def refused(reading, tmp_path: Path):
    """Read a file that is refused, and return the message without the folder's name."""

    def run(content: str | bytes, **keys: Any) -> str:
        with pytest.raises(DataError) as caught:
            reading(content, **keys)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return run


def tokens(found: Read) -> list[list[str]]:
    return [sentence.tokens for sentence in found.sentences]


def words(found: Read) -> list[str]:
    """Return the words and type of every span."""
    pairs = zip(tokens(found), found.labels or [], strict=True)
    return [f"{' '.join(t[a:b])}/{kind}" for t, row in pairs for kind, a, b in spans(row)]


def notes(found: Read) -> dict[str, tuple[int, list[str]]]:
    return {kind: (note.count, note.places) for kind, note in found.notes.kinds.items()}


# -- lines


def test_a_byte_order_mark_is_none_of_the_text_wherever_files_were_joined(reading):
    found = reading("\ufeffAda B-PER\n\n\ufeffBo B-PER\nsaw O\n\n\ufeff")
    assert tokens(found) == [["Ada"], ["Bo", "saw"]]
    assert notes(found) == {"byte order marks left out": (3, [":1", ":3", ":6"])}
    inside = reading("a\ufeffb B-PER\n")
    assert tokens(inside) == [["a\ufeffb"]] and notes(inside) == {}


@pytest.mark.parametrize("end", ["", " ", "\t", "\t\t", " \t "])
@pytest.mark.parametrize("sign", [" ", "\t"])
def test_blanks_and_tabs_at_the_end_of_a_line_are_no_column(reading, sign: str, end: str):
    text = f"Ada{sign}_{sign}B-PER{end}\nin{sign}_{sign}O\n{sign if sign == ' ' else ''}\nOslo{sign}_{sign}B-LOC{end}\n"
    found = reading(text)
    assert tokens(found) == [["Ada", "in"], ["Oslo"]] and words(found) == ["Ada/PER", "Oslo/LOC"]


def test_a_last_column_that_is_often_empty_is_a_column(reading):
    text = "Ada\tB-PER\t_\t\n,\tO\t_\tNoSpaceAfter\nOslo\tB-LOC\t_\t\n"
    assert words(reading(text, columns={"token": 0, "tag": 1})) == ["Ada/PER", "Oslo/LOC"]
    assert words(reading(text.replace("\t_", "\tX"), columns={"token": 0, "tag": -3})) == ["Ada/PER", "Oslo/LOC"]


def test_tabs_at_the_end_of_a_line_of_conllu_are_no_column(reading):
    text = "1\tAda\t_\tPROPN" + "\t_" * 6 + "\t\t\n"
    assert tokens(reading(text, format="conllu", task="pos", labels="upos")) == [["Ada"]]


def test_a_no_break_space_is_a_token(reading):
    assert tokens(reading("\u00a0\tB-PER\n\u3000\tO\n", separator="tab")) == [["\u00a0", "\u3000"]]


def test_a_header_is_named_and_can_be_skipped(reading, refused):
    text = "Token\tPOS\tTag\nAda\tN\tB-PER\nOslo\tN\tB-LOC\n"
    said = refused(text)
    assert said.startswith("x.conll:1: tag 'Tag' is not IOB2") and "`skip_lines: 1` leaves it out" in said
    found = reading(text, skip_lines=1)
    assert words(found) == ["Ada/PER", "Oslo/LOC"] and list(found.sentences[0].lines) == [2, 3]
    assert notes(found) == {"first lines skipped": (1, [r":1: Token\x09POS\x09Tag"])}
    renamed = reading(text, label_map={"Tag": "O"})
    assert renamed.warnings == [
        "its first token is 'Token'. If the line names the columns, `skip_lines: 1` leaves it out."
    ]
    assert reading("word O\nAda B-PER\nword O\n").warnings == []


def test_a_text_of_another_format_than_the_language_keeps_its_first_line(tmp_path: Path):
    (tmp_path / "raw.txt").write_text("Ada sang\nBo ran\n")
    settings = Language.model_validate({"skip_lines": 1, "unlabelled": {"path": "raw.txt", "format": "text"}})
    notes = Notes()
    found = read(tmp_path / "raw.txt", settings, settings.unlabelled, name="unlabelled", notes=notes)
    assert [x.tokens for x in found] == [["Ada", "sang"], ["Bo", "ran"]] and notes.kinds == {}
    whole = Language.model_validate({"format": "text", "skip_lines": 1, "unlabelled": "raw.txt"})
    found = read(tmp_path / "raw.txt", whole, whole.unlabelled, name="unlabelled")
    assert [x.tokens for x in found] == [["Bo", "ran"]]


def test_labels_are_read_where_they_are_wanted(tmp_path: Path):
    (tmp_path / "x.txt").write_text("Ada sang\n")
    settings = Language.model_validate({"format": "text"})
    assert [x.tokens for x in read(tmp_path / "x.txt", settings, tagged=False)] == [["Ada", "sang"]]
    with pytest.raises(DataError, match="`format: text` has no labels, but the split 'train' needs them"):
        next(read(tmp_path / "x.txt", settings))


def test_no_other_label_that_is_not_known_is_called_a_header(refused):
    tags: dict[str, Any] = {"task": "pos", "labels": "upos"}
    assert "`skip_lines: 1` leaves it out" in refused("word x\nAda NOUN\n", **tags)
    assert "`skip_lines: 1` leaves it out" in refused("a tag\nAda NOUN\n", **tags)
    for text in ("Ada x\nword NOUN\n", "Ada NOUN\nword tag\n", "Ada NOUN\n\nword tag\n"):
        assert "is not in the label space" in refused(text, **tags) and "skip_lines" not in refused(text, **tags)


def test_a_column_of_something_else_than_parts_of_speech_is_told_in_few_words(refused):
    lines = "".join(f"w{number} Feature={number}|{'x' * 90}\n" for number in range(40))
    said = refused(f"Ada NOUN\n{lines}", task="pos", labels="upos")
    assert "Check the tag column (`columns:`, in `format: conll`), or rename it: `label_map: {Feature=0|" in said
    assert len(said) < 1200 and ", .... Check" in said
    few = refused("Ada NOUN\nx Feature\n", task="pos", labels="upos")
    assert "Found in this file: Feature, NOUN. Check the tag column" in few


def test_a_header_before_columns_of_another_number_is_named(refused):
    said = refused("Sentence,Word,Tag\nSentence: 1,Ada,B-PER\n,sang,O\n")
    assert "Columns between commas are not read" in said and "`skip_lines: 1` leaves it out" in said


@pytest.mark.parametrize("sign", [",", ";"])
def test_columns_as_excel_and_csv_separate_them_are_told_to_be_so(refused, sign: str):
    cell = f'"{sign}"'
    rows = [("Sentence #", "Word", "Tag"), ("1", "Ada", "B-PER"), ("", cell, "O"), ("", '""""', "O"), ("", "", "")]
    said = refused("".join(f"{sign.join(row)}\n" for row in rows), skip_lines=1)
    name = {",": "commas", ";": "semicolons"}[sign]
    assert f"Columns between {name} are not read: docs/guide/formats.md has a recipe that writes TABs." in said


# -- comments


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("# id 1\tdomain=en\nada _ _ B-PER\nsang _ _ O\n\n# id 2\tdomain=en\nbo _ _ B-PER\n", {}),
        ("# sent_id = s1\n1\tAda\tB-PER\n2\tsang\tO\n\n", {"columns": {"token": 1, "tag": 2}}),
        ("# text Ada sang\nAda N B-PER\nsang V O\n\n", {}),
        ("% Ada\nAda B-PER\n\n", {}),
    ],
)
def test_a_comment_that_is_not_declared_is_named(refused, text: str, keys: dict[str, Any]):
    said = refused(text, **keys)
    assert said.startswith("x.conll:1: ") and f"`comment: '{text[0]}'` leaves them out" in said
    assert "broken:" not in said


def test_a_token_that_begins_as_comments_do_stays(reading):
    text = "# id t1\nLove O\n#Oslo B-LOC\n# O\n1 O\n\n# newdoc\n#Acme B-ORG\n#Works I-ORG\nrocks O\n"
    found = reading(text, comment="#")
    assert tokens(found) == [["Love", "#Oslo", "#", "1"], ["#Acme", "#Works", "rocks"]]
    assert words(found) == ["#Oslo/LOC", "#Acme #Works/ORG"]
    assert notes(found) == {"comment lines left out": (2, [":1: # id t1", ":7: # newdoc"])}


def test_a_comment_of_parts_of_speech_is_known_by_the_tags_of_the_file(reading):
    text = "# newdoc\nAda PROPN\n# SYM\nsings VERB\n\n# PROPN\nruns VERB\n"
    found = reading(text, comment="#", task="pos", labels="upos")
    assert tokens(found) == [["Ada", "#", "sings"], ["#", "runs"]]
    assert notes(found) == {"comment lines left out": (1, [":1: # newdoc"])}


def test_sentences_that_all_begin_with_a_hash_are_warned_of(reading):
    text = "".join(f"# {n}\nword{n} x\n\n" for n in range(4))
    found = reading(text, split="unlabelled")
    assert found.warnings == ["4 sentences begin with `#`. If these are comments, `comment: '#'` leaves them out."]


# -- sentences


def test_a_sentence_of_more_than_a_thousand_words_is_warned_of(reading):
    line = "word{n} {tag}\n"
    text = "".join(line.format(n=n, tag="O" if n else "B-PER") for n in range(1001))
    found = reading(text)
    assert notes(found) == {"sentences of more than 1,000 words": (1, [":1: 1,001 words"])}
    assert found.warnings[0].startswith(
        "sentences are hardly so long: 1 of more than 1,000 words, the longest has 1,001"
    )
    assert reading(text.partition("\n")[2] + "x B-PER\n\ny O\n" * 60).notes.count(LONG) == 1
    assert reading(text.partition("\n")[2] + "\n" + "x B-PER\n\n" * 60).notes.counts() == {}  # 1,000 words
    shorter = reading(text.replace("word500 O\n", "word500 O\n\n"))
    assert notes(shorter) == {} and shorter.warnings == []


def test_one_sentence_that_is_nearly_the_whole_file_is_warned_of(reading):
    long = "".join(f"w {'B-PER' if n == 3 else 'O'}\n" for n in range(200))
    for text, warned in ((long, True), (f"{long}\na O\n", True), (f"{long}\n{'a O' + chr(10)}" * 2, False)):
        assert ["one sentence of 200 words" in warning for warning in reading(text).warnings] == [True] * warned


def test_a_document_border_parts_sentences(reading):
    found = reading("-DOCSTART- O\nAda B-PER\nsang O\n-DOCSTART- -X- O O\nBo I-PER\n\n-DOCSTART- (d2)\n\nEva B-PER\n")
    assert tokens(found) == [["Ada", "sang"], ["Bo"], ["Eva"]] and words(found) == ["Ada/PER", "Bo/PER", "Eva/PER"]
    assert notes(found)["-DOCSTART- lines read as borders of documents"] == (3, [":1", ":4", ":7"])
    indexed = reading("1\tAda\tB-PER\n0\t-DOCSTART-\tO\n2\tBo\tI-PER\n", columns={"token": 1, "tag": 2})
    assert tokens(indexed) == [["Ada"], ["Bo"]]


BROKEN = {
    "conll": ("1\tDas\tO\n2\t\tO\n3\tUlmer\tB-LOC\n\n1\tOslo\tB-LOC\n", ":2: empty token"),
    "an empty tag": ("1\tDas\tO\n2\tist\t\n\n1\tOslo\tB-LOC\n", ":2: empty tag"),
    "a blank token": ("1\tDas\tO\n2\t \tO\n\n1\tOslo\tB-LOC\n", ":2: empty token"),
    "uneven": ("1\tDas\tO\n2\n3\tUlmer\tB-LOC\n\n1\tOslo\tB-LOC\n", ":2: 1 column where the first lines have 3"),
    "wikiann": ("de:\tO\n\nde:Oslo\tB-LOC\n", ":1: empty token"),
    "jsonl": ('{"tokens": ["a", ""], "tags": ["O", "O"]}\n{"tokens": ["Oslo"], "tags": ["B-LOC"]}\n', ":1: no token"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_sentence_is_refused_or_left_out_with_its_place(reading, refused, case: str):
    text, place = BROKEN[case]
    keys = {"format": case} if case in ("wikiann", "jsonl") else {"columns": {"token": 1, "tag": 2}, "separator": "tab"}
    said = refused(text, **keys)
    assert said.startswith(f"x.conll{place}") and "`broken: leave_out` leaves such sentences out." in said
    found = reading(text, **keys, broken="leave_out")
    assert tokens(found) == [["Oslo"]] and words(found) == ["Oslo/LOC"]
    (count, (first,)) = notes(found)["broken sentences left out"]
    assert count == 1 and first.startswith(place)


def test_a_broken_word_of_conllu_leaves_its_sentence_out(reading):
    row = "{n}\t{form}\t_\tNOUN" + "\t_" * 6 + "\n"
    text = row.format(n=1, form="a") + row.format(n=3, form="b") + "\n" + row.format(n=1, form="c")
    found = reading(text, format="conllu", task="pos", labels="upos", broken="leave_out")
    assert tokens(found) == [["c"]] and found.notes.count("broken sentences left out") == 1


def test_a_file_that_is_no_conllu_is_no_reason_to_leave_sentences_out(refused):
    said = refused("Ada\tNOUN\n", format="conllu", task="pos", labels="upos")
    assert "2 columns separated by TAB, CoNLL-U has 10" in said and "leave_out" not in said


def test_where_no_sentence_is_left_all_were_broken(refused):
    said = refused("1\t\tO\n\n2\t\tO\n", columns={"token": 1, "tag": 2}, separator="tab", broken="leave_out")
    assert "no sentence is left: 2 are broken" in said and "`columns:`" in said


def test_notes_are_about_the_sentences_that_are_taken(reading):
    text = "# one\nAda B-PER\n\n# two 2\nBo I-PER\n\n# three 3\nEva B-PER\n"
    found = reading(text, comment="#", take="1:2")
    assert notes(found) == {
        "badly started spans repaired": (1, [":5: 'I-PER' at the start of the sentence"]),
        "comment lines left out": (1, [":4: # two 2"]),
    }


# -- what a file is


def test_a_compressed_file_is_read(reading, refused):
    packed = gzip.compress(b"Ada B-PER\n\n") + gzip.compress(b"Oslo B-LOC\n")  # two, joined
    assert words(reading(packed, file="x.conll.gz")) == words(reading(packed)) == ["Ada/PER", "Oslo/LOC"]
    assert words(reading(gzip.compress(b"Caf\xe9 B-LOC\n"), encoding="latin-1")) == ["Caf\u00e9/LOC"]
    said = refused(gzip.compress(b"Ada B-PER\n" * 9999)[:60])
    assert said.startswith("x.conll: not a whole .gz file") and "again" in said
    assert "not utf-8" in refused(gzip.compress(b"Ada B-PER\nCaf\xe9 B-LOC\n")) and "x.conll:2" in refused(
        gzip.compress(b"Ada B-PER\nCaf\xe9 B-LOC\n")
    )


def archives() -> dict[str, bytes]:
    zipped, table, tar = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("x.conll", "Ada B-PER\n")
    pq.write_table(pa.table({"tokens": [["Ada"]]}), table)
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return {"zip": zipped.getvalue(), "parquet": table.getvalue(), "tar": tar.getvalue()}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (archives()["zip"], "a .zip archive"),
        (archives()["tar"], "a .tar archive"),
        (archives()["parquet"], "Parquet, not text of `format: conll`\n  Set `format: parquet`."),
        (b"\xfd7zXZ\x00abc", "compressed as .xz"),
        (b"BZh91AY", "compressed as .bz2"),
        (gzip.compress(gzip.compress(b"Ada B-PER\n")), "compressed as .gz twice"),
        ("Ada B-PER\n".encode("utf-16"), "in utf-16, not utf-8\n  Set `encoding: utf-16`."),
        ("Ada B-PER\n".encode("utf-16-le"), "in utf-16-le, not utf-8\n  Set `encoding: utf-16-le`."),
        (b'{"tokens": ["Ada"], "tags": ["B-PER"]}\n', "JSON\n  Set `format: jsonl`."),
        (b'[\n {"text": "Ada"}]', "JSON\n  Set `format: jsonl`."),
        (b'<?xml version="1.0"?>\n<a/>', "XML or HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
    ],
    ids=["zip", "tar", "parquet", "xz", "bz2", "gz twice", "utf-16", "utf-16-le", "lines", "array", "xml", "lfs"],
)
def test_a_file_of_another_kind_is_known_by_its_first_bytes(refused, content: bytes, says: str):
    said = refused(content)
    assert says in said and "encoding: latin-1" not in said and said.startswith("x.conll: this file is ")


def test_a_byte_order_mark_of_another_encoding_is_told(refused):
    said = refused("\ufeffAda B-PER\n", encoding="latin-1")
    assert said.startswith("x.conll: this file is in utf-8, not latin-1\n  Leave out `encoding:`; convert the")
    assert "in utf-16" in refused("Ada B-PER\n".encode("utf-16"), encoding="latin-1")
    assert "in utf-16-le" in refused("a O\n".encode("utf-16-le"))  # eight bytes are enough


@pytest.mark.parametrize("text", ["Zo\u00eb B-PER\n" * 8, "\u7530\u4e2d B-PER\n" * 900], ids=["short", "cut"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "gb18030"])
def test_utf_8_that_another_encoding_would_read_as_other_words_is_told(refused, text: str, encoding: str):
    assert f"this file is in utf-8, not {encoding}\n" in refused(text, encoding=encoding)
    jsonl = '{"tokens": ["' + text.split()[0] + '"], "tags": ["B-PER"]}\n'
    assert "this file is in utf-8" in refused(jsonl * 8, encoding=encoding, format="jsonl")


def test_utf_8_is_told_of_a_file_that_begins_with_many_pages_of_ascii(refused):
    text = "Bob B-PER\n" * 20_000 + "Zo\u00eb O\n" * 8
    assert "this file is in utf-8, not latin-1\n" in refused(text, encoding="latin-1")


def test_xml_says_itself_what_it_is_in(reading):
    text = SEMEVAL_2014.replace("again", "w\u00f6rd" * 8)
    found = reading(text, format="semeval_xml", task="aspect", labels=("TARGET",), scheme="BIOES", encoding="latin-1")
    assert found.sentences[1].tokens == ["Never", "w\u00f6rd" * 8, "."]


@pytest.mark.parametrize("encoding", ["utf_8", "UTF8", "utf-8-sig"])
def test_every_name_of_utf_8_reads_utf_8(reading, encoding: str):
    assert words(reading("\ufeff" + "Zo\u00eb B-PER\n" * 8, encoding=encoding)) == ["Zo\u00eb/PER"] * 8


def test_other_encodings_are_read_as_they_are_set(reading):
    texts = {"latin-1": "Zo\u00eb", "gbk": "\u8054\u901a\u516c\u53f8", "cp1251": "\u041c\u0438\u0440"}
    for encoding, text in texts.items():
        assert words(reading(f"{text} B-PER\n".encode(encoding) * 40, encoding=encoding)) == [f"{text}/PER"] * 40


def test_brackets_and_braces_are_words(reading):
    assert tokens(reading("{ O\n[ O\n< O\nAda B-PER\n")) == [["{", "[", "<", "Ada"]]
    assert reading('{"a"} b\n', format="text", split="unlabelled").sentences[0].tokens == ['{"a"}', "b"]


def test_plain_text_is_json_where_every_whole_line_is(reading, refused):
    text: dict[str, Any] = {"format": "text", "split": "unlabelled"}
    line = '{"text": "Ada"}\n'
    assert refused(f"{line}\n{line}", **text) == "x.conll: this file is JSON\n  Set `format: jsonl`."
    assert len(reading(f"{line}and a word\n", **text).sentences) == 2
    # Of 4096 bytes the last line may be cut off; of a shorter file it is a line as all others are.
    assert "is JSON" in refused(line * 300, **text)
    assert 4096 % len(longer := line.replace("Ada", "Adaline")) > 0 and "is JSON" in refused(longer * 300, **text)
    assert len(reading(f'{line}{{"text": ', **text).sentences) == 2
    assert len(reading('{"a": ' + "x" * 5000, **text).sentences) == 1


def test_the_separator_is_found_in_each_file(reading):
    for sign in "\t ":
        found = reading(f"Ada{sign}NNP{sign}B-PER\nsang{sign}VB{sign}O\n\n", split="unlabelled")
        assert tokens(found) == [["Ada", "sang"]] and found.warnings == []
    found = reading("Ada\tB-PER\nNew York\tO\n")
    assert tokens(found) == [["Ada", "New York"]]


@pytest.mark.parametrize(("sign", "asked", "key"), [(" ", "tab", "space"), ("\t", "space", "tab")])
def test_tokens_that_hold_the_other_separator_are_warned_of(reading, sign: str, asked: str, key: str):
    found = reading(f"Ada{sign}B-PER\nsang{sign}O\n", split="unlabelled", separator=asked)
    (warning,) = found.warnings
    assert (
        warning.startswith("most tokens hold a") and f"`separator: {key}`" in warning and "`separator: auto`" in warning
    )


def test_a_tab_in_a_token_between_spaces_is_noted(reading):
    found = reading("Ada B-PER\n30\t80 O\nis O\n")
    assert notes(found) == {r"tokens that hold a TAB": (1, [r":2: '30\t80'"])} and found.warnings == []


@pytest.mark.parametrize(("line", "says"), [("<doc id=1> x", "`<`, as markup"), ("{x y", "`{`, as JSON")])
def test_text_whose_lines_begin_as_markup_or_json_do_is_warned_of(reading, line: str, says: str):
    found = reading(f"{line}\n" + "Ada sings .\n" * 9, split="unlabelled", format="text")
    assert len(found.warnings) == 1 and says in found.warnings[0]


def test_text_that_is_columns_is_warned_of(reading):
    found = reading("Ada B-PER\nsings O\n\n" * 12, split="unlabelled", format="text")
    assert found.warnings == ["each line ends with a tag, which is read as a word. Is it `format: conll`?"]


@pytest.mark.parametrize("kind", ["conll", "jsonl", "parquet"])
def test_the_character_nul_is_warned_of(reading, kind: str, tmp_path: Path):
    content: str | bytes = "A\0da B-PER\n" if kind == "conll" else '{"tokens": ["A\\u0000da"], "tags": ["B-PER"]}'
    if kind == "parquet":
        pq.write_table(pa.table({"tokens": [["A\0da"]], "tags": [["B-PER"]]}), tmp_path / "t")
        content = (tmp_path / "t").read_bytes()
    found = reading(content, format=kind)
    assert found.warnings == ["it holds the character NUL 1 times: is it damaged, or in another encoding?"]
    assert found.notes.kinds[NULS].places == [": row 1" if kind == "parquet" else ":1"]


# -- terminals


def test_what_a_terminal_would_obey_is_written_as_an_escape():
    text = "a\x1b[2Jb\x00\x9b\u202e\u2028\ud800\tc\nd"
    assert printable(text) == r"a\x1b[2Jb\x00\x9b\u202e\u2028\ud800\x09c" + "\nd"
    assert printable(text, keep="").endswith(r"c\x0ad")
    assert printable("N\u00e4\u200c\u4e2d \u00a0\U0001f600") == "N\u00e4\u200c\u4e2d \u00a0\U0001f600"
    assert str(DataError("\x1b[2J", where="x\x07", hint="\x9b")) == "x\\x07: \\x1b[2J\n  \\x9b"
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", ("\x1b[2J",), None)
    assert PrintableFormatter("%(message)s").format(record) == r"\x1b[2J"


# -- tags


def test_labelled_text_without_a_span_is_an_error_to_train_on_and_a_warning_elsewhere(reading, refused):
    text = "".join(f"w{n} O\n" for n in range(20))
    assert "x.conll: no span in 20 words: every tag is O" in refused(text) and "columns:" in refused(text)
    (warning,) = reading(text, split="test").warnings
    assert warning.startswith("no span in 20 words")
    assert reading(text.partition("\n")[2]).warnings == [] == reading(f"{text}w B-PER\n", split="test").warnings


@pytest.mark.parametrize(("tags", "other"), [("B-PER I-PER O", "BIOES"), ("I-PER I-PER O", "IOB2")])
def test_spans_of_another_scheme_are_a_warning_where_most_of_them_start_badly(tags, other, reading):
    own = "IOB1" if other == "IOB2" else "IOB2"
    text = "".join(f"w{n} {tag}\n" for n, tag in enumerate(f"{tags} ".split() * 10))
    (warning,) = reading(text, scheme=other).warnings
    assert "Is it in another scheme? Set `scheme:`" in warning
    assert reading(text, scheme=own).warnings == []
    right = "".join(f"v{n} B-PER\n" for n in range(20))
    assert reading(text + right, scheme="IOB2").warnings == []  # a mistake here and there is none of the scheme


def test_spans_that_the_label_map_leaves_out_are_no_sign_of_another_scheme(reading):
    text = "".join(f"w{n} {tag}\n" for n, tag in enumerate(["B-PER", "O", "I-MISC", "O"] * 10))
    assert reading(text, label_map={"MISC": "O"}).warnings == []
    badly = text.replace("B-PER", "I-PER").replace("I-MISC", "B-MISC")
    (warning,) = reading(badly, label_map={"MISC": "O"}).warnings
    assert "10 of 10 spans start badly, and were repaired. Is it in another scheme?" in warning
    twice = "".join(f"v{n} {tag}\n" for n, tag in enumerate(("I-PER I-PER " + "S-LOC " * 2).split() * 5))
    assert reading(twice, scheme="BIOES").warnings == []  # two tags of one span in three


def test_text_to_train_on_whose_targets_are_all_lost_says_so(refused):
    text = SEMEVAL_2014.replace('from="', 'from="1').replace("Never again.", "word " * 20)
    said = refused(text, format="semeval_xml", task="aspect", labels=("TARGET",))
    assert (
        "every tag is O" in said and "It has targets lost, whose offsets do not give their text: 3 (x.conll:4" in said
    )


def test_a_header_after_comments_is_named_with_its_line(refused):
    said = refused("# made by hand\nform\tupos\nAda\tPROPN\n", comment="#", task="pos", labels="upos")
    assert said.startswith("x.conll:2: label 'upos'") and "`skip_lines: 2` leaves it out" in said


def parquet(path: Path, **columns: Any) -> bytes:
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


def test_empty_rows_of_parquet_are_left_out(reading, tmp_path: Path):
    data = parquet(tmp_path / "t", tokens=[["Ada"], [], None, ["Oslo"]], tags=[["B-PER"], [], None, ["B-LOC"]])
    found = reading(data, format="parquet")
    assert words(found) == ["Ada/PER", "Oslo/LOC"]
    assert notes(found) == {"empty rows left out": (2, [": row 2", ": row 3"])}


@pytest.mark.parametrize("column", ["token", "tag"])
def test_a_column_of_tokens_or_tags_may_have_the_name_of_the_sentences(reading, column: str, tmp_path: Path):
    columns = {"token": "tokens", "tag": "tags"} | {column: "sentences"}
    data = parquet(tmp_path / "t", **{columns["token"]: [["Al", "x"]], columns["tag"]: [["B-PER", "O"]]})
    found = reading(data, format="parquet", columns=columns)
    assert tokens(found) == [["Al", "x"]] and words(found) == ["Al/PER"]


def text_arrays() -> dict[str, pa.Array]:
    plain = [["Ada", "Bo"], ["Eva", "Ada"]]
    words_of = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0], pa.int8()), ["Ada", "Bo", "Eva"])
    return {
        "dictionary": pa.ListArray.from_arrays([0, 2, 4], words_of),
        "fixed size": pa.FixedSizeListArray.from_arrays(pa.array(["Ada", "Bo", "Eva", "Ada"]), 2),
        "list view": pa.array(plain, pa.list_view(pa.string())),
        "large list": pa.array(plain, pa.large_list(pa.large_string())),
        "string view": pa.array(plain, pa.list_(pa.string_view())),
    }


@pytest.mark.parametrize("kind", text_arrays())
def test_other_types_of_arrow_hold_lists_of_text_too(reading, kind: str, tmp_path: Path):
    tags = pa.array([["B-PER", "O"], ["O", "B-PER"]])
    try:
        data = parquet(tmp_path / "t", tokens=text_arrays()[kind], tags=tags)
    except pa.ArrowNotImplementedError:
        pytest.skip("this pyarrow writes no such column to Parquet")
    found = reading(data, format="parquet")
    assert tokens(found) == [["Ada", "Bo"], ["Eva", "Ada"]] and words(found) == ["Ada/PER", "Ada/PER"]


def test_columns_of_other_types_are_refused_with_what_to_do(refused, tmp_path: Path):
    structures = parquet(tmp_path / "t", sentence=[[{"word": "Ada", "tag": "O"}]])
    assert "'sentence' is a list of structures: write their fields" in refused(structures, format="parquet")
    assert "not a list of strings\n  Text that is not split" in refused(
        parquet(tmp_path / "t", tokens=["Ada sings"], tags=["O"]), format="parquet"
    )


SEMEVAL_2014 = """<?xml version="1.0" encoding="UTF-8"?>
<sentences>
<sentence id="1"><text>Fine soup, slow bar staff.</text><aspectTerms>
<aspectTerm term="soup" polarity="positive" from="5" to="9"/>
<aspectTerm term="bar staff" polarity="negative" from="16" to="25"/>
<aspectTerm term="slow" polarity="negative" from="12" to="16"/>
</aspectTerms><aspectCategories><aspectCategory category="food" polarity="positive"/></aspectCategories></sentence>
<sentence id="2"><text>Never again.</text></sentence>
</sentences>
"""


def test_aspect_terms_of_semeval_2014_are_targets(reading):
    found = reading(SEMEVAL_2014, format="semeval_xml", task="aspect", labels=("TARGET",), scheme="BIOES")
    assert words(found) == ["soup/TARGET", "bar staff/TARGET"] and len(found.sentences) == 2
    lost = ":6: 'slow' at 12 to 16, where 'low ' stands"
    assert notes(found) == {"targets lost, whose offsets do not give their text": (1, [lost])}


def test_a_corpus_keeps_its_notes_and_warnings_by_the_path_of_the_config(tmp_path: Path):
    raw, out = tmp_path / "raw", tmp_path / "o.parquet"
    raw.write_text("# c\nAda B-PER\n" + "w O\n" * 150, encoding="utf-8")
    settings = Language.model_validate({"train": "data/fr.conll", "comment": "#"})
    found = prepare(raw, out, language="x", split="train", settings=settings, task="ner", labels=THREE)
    metadata = read_corpus(out).metadata
    assert metadata["notes"] == {"comment lines left out": {"count": 1, "places": ["data/fr.conll:1: # c"]}}
    assert metadata["warnings"][0].startswith("data/fr.conll: one sentence of 151 words")
    assert found.lines("f") == ["note: comment lines left out: 1 (f:1: # c)", f"warning: f: {found.warnings[0]}"]
