"""Every oddity of real files, as a file of a few lines."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagdistill.data.readers.format import Format, RawFile, load_format
from tagdistill.data.readers.lines import Sentence
from tagdistill.data.readers.notes import Notes
from tagdistill.data.readers.options import format_by_ending
from tagdistill.data.readers.read import read, read_texts
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.settings.language import Language, Split
from tagdistill.settings.names import FORMATS, names_in, summaries_in
from tagdistill.settings.validation import validate

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def given_file(tmp_path):
    """Write a file and read it: `given_file(text, format=...)` returns its sentences."""

    def write(content: str | bytes, *, split=None, name="train", file="x.conll", notes=None, limit=None, **language):
        path = tmp_path / file
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        kwargs = {"name": name, "where": file, "notes": notes, "limit": limit}
        return list(read(path, Language(**language), Split(path=file, **split) if split else None, **kwargs))

    return write


def word(number, form, upos="NOUN"):
    return f"{number}\t{form}\t_\t{upos}\t_\t_\t_\t_\t_\t_\n"


# Every format


def test_the_format_on_the_page_that_explains_formats_reads_and_refuses():
    page = (Path(__file__).parents[2] / "docs/extending/format.md").read_text(encoding="utf-8")
    module: dict = {}
    exec(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0], module)

    def sentences(text: str, *, tagged: bool = True) -> list[Sentence]:
        handle = io.BytesIO(text.encode())
        return list(module["FORMAT"].read(RawFile(handle, Path("x"), "x", Language(), "train", tagged, Notes())))

    expected = Sentence(["Ann", "1/2"], ["B-PER", "O"], [2, 2])
    assert sentences("\nAnn/B-PER 1/2/O\n") == [expected]
    assert sentences("\nAnn/B-PER 1/2/O\n", tagged=False) == [expected._replace(tags=None)]
    with pytest.raises(DataError, match=r"^x:2: 'Ann' has no label"):
        sentences("Ann/O\nAnn\n")


@pytest.mark.parametrize("name", names_in(FORMATS))
def test_a_format_is_known_by_its_module(name):
    form = load_format(name)
    assert isinstance(form, Format) and Language(format=name).format == name
    assert summaries_in(FORMATS)[name], "config/README.md shows the first line of its docstring"
    for ending in form.endings:
        assert format_by_ending(Path(f"a{ending.upper()}")) == name, "an ending stands for one format"


def test_a_format_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="format: cannot be 'conlu'") as caught:
        validate(Language, {"format": "conlu"}, "x")
    assert caught.value.hint.startswith("Did you mean 'conllu'? Known: ")
    assert all(name in caught.value.hint for name in names_in(FORMATS))


@pytest.mark.parametrize("name", names_in(FORMATS))
def test_no_format_reads_an_empty_file(given_file, name):
    with pytest.raises(DataError):
        given_file(b"", format=name, name="unlabelled")


# CoNLL-U


def test_ranges_become_multiword_surface_and_empty_nodes_are_skipped(given_file):
    text = "# sent_id = s-1\n# text = jusqu'au bout\n" + word(1, "jusqu'", "ADP") + word("2-3", "au", "_")
    text += word(2, "à", "ADP") + word(3, "le", "DET") + word("3.1", "(gap)", "VERB") + word(4, "bout") + "\n"
    notes = Notes()
    (sentence,) = given_file(text, format="conllu", notes=notes)
    assert sentence.tokens == ["jusqu'", "à", "le", "bout"] and sentence.tags == ["ADP", "ADP", "DET", "NOUN"]
    assert sentence.multiword == ((1, 3, "au"),) and sentence.source_id == "s-1"
    assert sentence.line == 3 and sentence.lines == [3, 5, 6, 8] and notes.counts() == {"empty nodes left out": 1}


def test_an_empty_node_may_come_before_the_first_word(given_file):
    assert given_file(word("0.1", "x") + word(1, "y"), format="conllu")[0].tokens == ["y"]


def test_underscore_spaces_and_zero_width_forms_are_tokens(given_file):
    forms = ["_", "20 000", "a  b", "می\u200cشود", "\u200b", "\u2028", "\x85", "e\u0301", "#"]
    text = "".join(word(i, form) for i, form in enumerate(forms, 1))
    assert given_file(text, format="conllu")[0].tokens == forms


def test_two_sentences_without_a_last_empty_line(given_file):
    assert [s.tokens for s in given_file(word(1, "a") + "\n\n" + word(1, "b").rstrip("\n"), format="conllu")] == [
        ["a"],
        ["b"],
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (word(1, "a") + "2\tb\tNOUN\n", 2, "3 columns separated by TAB, CoNLL-U has 10"),
        (word(1, "a").replace("\t", "  "), 1, "1 columns"),
        (word(1, "a") + word(3, "b"), 2, "id '3' where word 2"),
        (word(1, "a") + word(1, "b"), 2, "id '1' where word 2"),
        (word(0, "a"), 1, "id '0'"),
        (word("x", "a"), 1, "id 'x'"),
        (word("", "a"), 1, "id ''"),
        (word("2-1", "a"), 1, "id '2-1'"),
        (word("1-2", "ab", "_") + word("1-2", "ab", "_") + word(1, "a") + word(2, "b"), 2, "overlaps"),
        (word("1-3", "ab", "_") + word(1, "a") + word(2, "b"), 3, "a range ends at word 3 of 2"),
        (word(1, ""), 1, "empty FORM"),
    ],
)
def test_broken_conllu_names_the_line(given_file, text, line, what):
    with pytest.raises(DataError) as caught:
        given_file(text, format="conllu", file="x.conllu")
    assert caught.value.where == f"x.conllu:{line}" and what in caught.value.what


# Columns


def test_columns_are_counted_from_both_ends(given_file):
    (sentence,) = given_file("La DA B-LOC\nCoruña NC I-LOC\n", format="conll")
    assert (sentence.tokens, sentence.tags) == (["La", "Coruña"], ["B-LOC", "I-LOC"])
    (sentence,) = given_file("1\tbis\tO\tB-X\n", separator="tab", columns={"token": 1, "tag": 2})
    assert (sentence.tokens, sentence.tags) == (["bis"], ["O"])


def test_a_column_that_is_not_named_keeps_its_default(given_file):
    (sentence,) = given_file("1 bis O\n", columns={"token": 1})
    assert (sentence.tokens, sentence.tags) == (["bis"], ["O"])
    (sentence,) = given_file("bis 1 O X\n", columns={"tag": 2})
    assert (sentence.tokens, sentence.tags) == (["bis"], ["O"])


def test_docstart_lines_are_borders_of_documents_even_inside_a_block(given_file):
    notes = Notes()
    text = (
        "-DOCSTART- -DOCSTART- O\nDe Art O\nman N O\n-DOCSTART- -DOCSTART- O\nloopt V O\n\n-DOCSTART- -X- O\n\nJa I O\n"
    )
    found = given_file(text, notes=notes)
    assert [s.tokens for s in found] == [["De", "man"], ["loopt"], ["Ja"]]
    assert notes.kinds["-DOCSTART- lines read as borders of documents"].places == [":1", ":4", ":7"]
    assert [s.lines for s in found] == [[2, 3], [5], [9]]


def test_docstart_may_have_other_columns_or_an_index_before_it(given_file):
    assert given_file("-DOCSTART-\n\na O\n")[0].tokens == ["a"]
    assert given_file("0\t-DOCSTART-\tO\n1\ta\tO\n", separator="tab", columns={"token": 1})[0].tokens == ["a"]
    assert given_file("-DOCSTART-x O\n")[0].tokens == ["-DOCSTART-x"]


def test_a_hash_is_a_token_unless_comments_are_asked_for(given_file):
    text = "# O\n1 O\n"
    assert given_file(text)[0].tokens == ["#", "1"]
    assert given_file("# newdoc id = 3\n1 O\n", comment="#")[0].tokens == ["1"]


def test_only_the_separator_parts_columns(given_file):
    assert given_file("30\t8230 O\n", separator="space")[0].tokens == ["30\t8230"]
    assert given_file("v tem\tO\n", separator="tab")[0].tokens == ["v tem"]
    assert given_file("a\u00a0b O\na\u3000b   O \n")[0].tokens == ["a\u00a0b", "a\u3000b"]


@pytest.mark.parametrize(
    ("text", "language", "line", "what"),
    [
        ("a O\nb N O\n", {}, 2, "3 columns where the first lines have 2, separated by space"),
        ("a\tO\nb\tO\nc\n", {"separator": "tab"}, 3, "1 column where the first lines have 2"),
        ("a\tO\n", {"separator": "space"}, 1, "same column: the line has 1 column, separated by space"),
        ("a O\n", {"columns": {"tag": 3}}, 1, "no column 3: the line has 2 columns"),
        ("a O\n", {"columns": {"token": -3}}, 1, "no column -3"),
        ("\n\n\tO\n", {"separator": "tab"}, 3, "empty token"),
        ("\u3000\n", {}, 1, "token and tag are the same column"),
    ],
)
def test_broken_columns_name_the_line(given_file, text, language, line, what):
    with pytest.raises(DataError) as caught:
        given_file(text, **language)
    assert caught.value.where == f"x.conll:{line}" and what in caught.value.what
    assert "separator" in str(caught.value)


def test_line_ends_and_a_byte_order_mark(given_file):
    notes = Notes()
    found = given_file(b"\xef\xbb\xbfa O\r\nb O\r\n\r\n \t\r\nc O", notes=notes)
    assert [s.tokens for s in found] == [["a", "b"], ["c"]] and found[1].line == 5 and found[0].tags == ["O", "O"]
    assert notes.counts() == {"byte order marks left out": 1}


@pytest.mark.parametrize("kind", ["conll", "conllu", "wikiann"])
def test_a_file_of_old_line_ends_is_not_one_line(given_file, kind):
    with pytest.raises(DataError, match="end with CR alone"):
        given_file(b"a O\rb O\r\rc O\r", format=kind)


def test_the_encoding_is_not_guessed(given_file):
    data = "ok O\n" * 5000 + "Coruña O\n"
    assert given_file(data.encode("latin-1"), encoding="latin-1")[0].tokens[-1] == "Coruña"
    with pytest.raises(DataError) as caught:
        given_file(data.encode("latin-1"))
    assert (
        caught.value.where == "x.conll:5001" and "not utf-8" in caught.value.what and "`encoding:`" in caught.value.hint
    )


def test_a_character_may_lie_across_two_parts_of_a_file(given_file):
    words = ["ñ" * 999] * 200
    assert given_file("".join(f"{word} O\n" for word in ["a", *words]))[0].tokens[1:] == words


def test_what_a_codec_says_without_a_reason_is_told(given_file):
    with pytest.raises(DataError, match="not utf-16: UTF-16 stream does not start with BOM"):
        given_file("a O\n".encode("utf-16-be"), encoding="utf-16")


def test_an_encoding_that_does_not_exist_is_named(given_file):
    with pytest.raises(ConfigError, match="no text encoding 'utf-9'"):
        given_file("a O\n", encoding="utf-9")


def test_wide_encodings_are_read(given_file):
    assert given_file("a O\nß O\n".encode("utf-16"), encoding="utf-16")[0].tokens == ["a", "ß"]


def test_a_very_long_sentence(given_file):
    assert len(given_file("la DA O\n" * 1238)[0].tokens) == 1238


def test_a_file_without_tags_can_be_the_unlabelled_split(given_file):
    (sentence,) = given_file("a\nb\n", name="unlabelled")
    assert sentence.tokens == ["a", "b"] and sentence.tags is None


# WikiAnn


def test_wikiann_splits_at_the_first_colon(given_file):
    (sentence,) = given_file("fa:تهران\tB-LOC\nfa::\tO\nfa:http://x\tO\n", format="wikiann")
    assert sentence.tokens == ["تهران", ":", "http://x"] and sentence.tags == ["B-LOC", "O", "O"]


@pytest.mark.parametrize("line", ["Hvis\tO\n", ":a\tO\n", "fa:\tO\n"])
def test_wikiann_without_prefix_or_token_is_refused(given_file, line):
    with pytest.raises(DataError) as caught:
        given_file("fa:a\tO\n" + line, format="wikiann")
    assert caught.value.where == "x.conll:2"


def archive(**members: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("test")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


def test_wikiann_is_read_from_its_archive(given_file, tmp_path):
    data = archive(train="fa:a\tO\n", fa__dev="fa:b\tO\n", extra="fa:c\tO\n")
    for name, token in (("train", "a"), ("dev", "b"), ("unlabelled", "c")):
        assert given_file(data, format="wikiann", file="fa.tar.gz", name=name)[0].tokens == [token]
    assert [p.name for p in tmp_path.iterdir()] == ["fa.tar.gz"]
    language = Language.model_validate({"format": "wikiann", "train": "x"})
    (tmp_path / "x").write_text("fa:a\tO\n")
    (given,) = read_texts(tmp_path / "x", language, lambda handle: handle, where="x", notes=Notes())
    assert given.content == ["a"]
    with pytest.raises(DataError, match="no file 'test'"):  # a link is no file
        given_file(data, format="wikiann", file="fa.tar.gz", name="test")


def test_errors_inside_an_archive_name_member_and_line(given_file):
    with pytest.raises(DataError) as caught:
        given_file(archive(train="fa:a\tO\nb\tO\n"), format="wikiann", file="fa.tar.gz")
    assert caught.value.where == "fa.tar.gz/train:2"


def test_half_an_archive_is_refused(given_file):
    data = archive(train="".join(f"fa:{i * i}\tO\n" for i in range(5000)))
    for cut in (0, 1, 10, len(data) // 2, len(data) - 400):
        with pytest.raises(DataError):
            given_file(data[:cut], format="wikiann", file="fa.tar.gz")


# Text and Parquet


def test_text_is_white_space_tokens_a_sentence_a_line(given_file):
    found = given_file("Ein  Satz .\n\n \nNoch\teiner\n", format="text", name="unlabelled")
    assert [s.tokens for s in found] == [["Ein", "Satz", "."], ["Noch", "einer"]] and found[1].line == 4
    with pytest.raises(DataError, match="has no labels"):
        given_file("a b\n", format="text")


def parquet(path: Path, **columns) -> bytes:
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


def test_parquet_rows_are_sentences(given_file, tmp_path):
    for tag in ("tags", "labels"):
        data = parquet(tmp_path / "p", tokens=[["a", "b"], ["c"]], id=["one", "two"], **{tag: [["O", "O"], ["B-X"]]})
        found = given_file(data, format="parquet")
        assert [(s.tokens, s.tags, s.source_id, s.line) for s in found][1] == (["c"], ["B-X"], "two", 0)
    assert given_file(data, format="parquet", name="unlabelled")[0].tags is None


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"tokens": [["a"]]}, "no column 'labels'"),
        ({"text": [["a"]], "tags": [["O"]]}, "no column 'tokens'"),
        ({"tokens": [["a"]], "tags": [[1]]}, "does not name the classes"),
        ({"tokens": [["a"]], "tags": [[1.5]]}, "not a list of strings or of class numbers"),
        ({"tokens": [["a"]], "tags": [["O"]], "ner_tags": [["O"]]}, "several columns of tags: tags, ner_tags"),
        ({"tokens": ["a"], "tags": ["O"]}, "not a list of strings"),
        ({"tokens": [["a"]], "tags": [["O", "O"]]}, "2 labels for 1 tokens"),
        ({"tokens": [["a"], []], "tags": [["O"], ["O"]]}, "no token, or an empty one"),
        ({"tokens": [["a", None]], "tags": [["O", "O"]]}, "no token, or an empty one"),
        ({"tokens": [["a"], ["b"]], "tags": [["O"], None]}, "0 labels"),
    ],
)
def test_parquet_of_another_layout_is_refused(given_file, tmp_path, columns, what):
    with pytest.raises(DataError, match=what):
        given_file(parquet(tmp_path / "p", **columns), format="parquet")


def test_two_columns_of_one_name_are_refused(given_file, tmp_path):
    columns = pa.table([[["a"]], [["b"]], [["O"]]], names=["tokens", "tokens", "tags"])
    pq.write_table(columns, tmp_path / "p")
    with pytest.raises(DataError, match="two columns are named 'tokens'"):
        given_file((tmp_path / "p").read_bytes(), format="parquet")


def test_columns_of_a_table_are_chosen_by_name(given_file, tmp_path):
    data = parquet(tmp_path / "p", text=[["a"]], ner_tags=[["B-X"]], pos_tags=[["N"]])
    assert given_file(data, format="parquet", columns={"token": "text", "tag": "pos_tags"})[0].tags == ["N"]
    with pytest.raises(DataError, match="no column 'ner_tag'") as caught:
        given_file(data, format="parquet", columns={"token": "text", "tag": "ner_tag"})
    assert "Did you mean 'ner_tags'?" in caught.value.hint
    with pytest.raises(ConfigError, match="'text' is not a number"):
        given_file("a O\n", format="conll", columns={"token": "text"})


def test_class_numbers_get_the_names_that_the_file_or_the_config_gives(given_file, tmp_path):
    numbers = {"tokens": [["a", "b"]], "tags": [[1, 0]]}
    assert given_file(parquet(tmp_path / "p", **numbers), format="parquet", names=["O", "B-X"])[0].tags == ["B-X", "O"]
    for wrong in (2, -1):
        with pytest.raises(DataError, match=f"class {wrong}, but 2 are named"):
            given_file(parquet(tmp_path / "p", tokens=[["a"]], tags=[[wrong]]), format="parquet", names=["O", "B-X"])
    for feature in (
        {"feature": {"names": ["O", "B-Y"]}, "_type": "Sequence"},
        {"feature": {"names": ["O", "B-Y"]}, "_type": "List"},
        [{"names": ["O", "B-Y"], "_type": "ClassLabel"}],
    ):
        metadata = json.dumps({"info": {"features": {"tags": feature}}})
        table = pa.table(numbers).replace_schema_metadata({"huggingface": metadata})
        pq.write_table(table, tmp_path / "p")
        assert given_file((tmp_path / "p").read_bytes(), format="parquet", names=["O", "B-X"])[0].tags == ["B-Y", "O"]


@pytest.mark.parametrize("metadata", ["{", "[]", '{"info": {"features": {"tags": {"feature": {"names": [1]}}}}}', "{}"])
def test_damaged_metadata_of_features_are_ignored(given_file, tmp_path, metadata):
    table = pa.table({"tokens": [["a"]], "tags": [[1]]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "p")
    with pytest.raises(DataError, match="does not name the classes"):
        given_file((tmp_path / "p").read_bytes(), format="parquet")


# SemEval XML


REVIEW = """<?xml version="1.0" encoding="UTF-8"?>
<Reviews><Review rid="1"><sentences>
<sentence id="1:0"><text>The take-away pizza, isn't it great?</text><Opinions>
<Opinion target="take-away pizza" category="FOOD#QUALITY" polarity="positive" from="4" to="19"/>
<Opinion target="take-away pizza" category="FOOD#PRICES" polarity="positive" from="4" to="19"/>
<Opinion target="NULL" category="RESTAURANT#GENERAL" polarity="positive" from="0" to="0"/>
</Opinions></sentence>
<sentence id="1:1" OutOfScope="TRUE"><text>Café &amp; bar.</text></sentence>
<sentence id="1:2"><text>Pizzas here</text><Opinions>
<Opinion target="Pizza" category="x" polarity="x" from="0" to="5"/>
<Opinion target="here" category="x" polarity="x" from="7" to="11"/>
<Opinion target="Pizzas here" category="x" polarity="x" from="0" to="11"/>
<Opinion target="pizzas" category="x" polarity="x" from="0" to="6"/>
<Opinion target="gone" category="x" polarity="x" from="40" to="44"/>
</Opinions></sentence>
<sentence id="1:3"><text> </text></sentence>
</sentences></Review></Reviews>
"""


def test_semeval_targets_become_spans_and_what_cannot_is_counted(given_file):
    notes = Notes()
    found = given_file(REVIEW, format="semeval_xml", notes=notes)
    assert [s.tokens for s in found] == [
        ["The", "take-away", "pizza", ",", "isn't", "it", "great", "?"],
        ["Café", "&", "bar", "."],
        ["Pizzas", "here"],
    ]
    assert found[0].tags == ["O", "B-TARGET", "I-TARGET", "O", "O", "O", "O", "O"]
    assert found[2].tags == ["B-TARGET", "I-TARGET"]
    assert [(s.source_id, s.line) for s in found] == [("1:0", 3), ("1:1", 8), ("1:2", 9)]
    assert notes.counts() == {
        "opinions without a target (NULL)": 1,
        "repeated targets, read once": 1,
        "sentences out of scope, read without targets": 1,
        "targets lost, which begin or end inside a word": 1,
        "targets lost, which overlap another": 1,
        "targets lost, whose offsets do not give their text": 2,
        "sentences without text left out": 1,
    }
    lost = notes.kinds["targets lost, whose offsets do not give their text"].places
    assert lost[0] == ":13: 'pizzas' at 0 to 6, where 'Pizzas' stands"
    assert given_file(REVIEW, format="semeval_xml", name="unlabelled")[0].tags is None


def test_semeval_words_keep_combining_marks_and_split_punctuation(given_file):
    text = "<s><sentence><text>sabrosa. милый, cafe\u0301 שָׁלוֹם 10,50€ l'eau</text></sentence></s>"
    words = ["sabrosa", ".", "милый", ",", "cafe\u0301", "שָׁלוֹם", "10", ",", "50", "€", "l'eau"]
    assert given_file(text, format="semeval_xml", name="unlabelled")[0].tokens == words
    with pytest.raises(DataError, match="neither <Opinion> nor <aspectTerm>"):
        given_file(text, format="semeval_xml")


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("<a><sentence></a>", "mismatched tag", 1),
        ("token O\n", "not well-formed XML", 1),
        ("<a>\n<b/></a>", "no <sentence>", None),
        ("<a><sentence><text></text></sentence></a>", "texts of all 1 sentences are empty", None),
        ('<a><sentence><text>x</text>\n<Opinion target="x" from="a" to="1"/></sentence></a>', "are not offsets", 2),
        ('<a><sentence><text>x</text>\n<Opinion target="x" to="1"/></sentence></a>', "without 'from'", 2),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a><sentence><text>&b;</text></sentence></a>', "document type declaration", 1),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "encoding", None),
    ],
)
def test_xml_that_is_not_semeval_is_refused(given_file, text, what, line):
    with pytest.raises(DataError, match=what) as caught:
        given_file(text, format="semeval_xml")
    assert line is None or caught.value.where.endswith(f":{line}")


MUTATIONS = st.lists(st.tuples(st.integers(0, len(REVIEW) - 1), st.sampled_from('<>&"/ \n0x\u0301')), max_size=4)


@FUZZ
@given(mutations=MUTATIONS)
def test_no_mutation_of_a_review_crashes_the_reader(tmp_path, mutations):
    text = list(REVIEW)
    for place, character in mutations:
        text[place] = character
    (tmp_path / "r.xml").write_text("".join(text), encoding="utf-8")
    try:
        for sentence in read(tmp_path / "r.xml", Language(format="semeval_xml")):
            assert len(sentence.tags) == len(sentence.tokens) == len(sentence.lines)
    except DataError:
        pass


# Every format


def test_take_and_limit_cut_the_file(given_file):
    text = "".join(f"{i} O\n\n" for i in range(10))
    numbers = lambda **kw: [s.tokens[0] for s in given_file(text, **kw)]  # noqa: E731
    assert numbers(split={"take": "2:5"}) == ["2", "3", "4"]
    assert numbers(split={"take": "8:"}) == ["8", "9"]
    assert numbers(split={"take": "2:", "limit": 2}) == ["2", "3"]
    assert numbers(split={"limit": 4}, limit=3) == numbers(split={"limit": 3}, limit=4) == ["0", "1", "2"]
    with pytest.raises(DataError, match="`take: 10:20` leaves no sentence"):
        numbers(split={"take": "10:20"})


def test_a_split_may_have_a_format_of_its_own(given_file):
    assert given_file("a b\n", split={"format": "text"}, format="conllu", name="unlabelled")[0].tokens == ["a", "b"]


def test_an_unknown_format_of_a_split_stops_the_config():
    with pytest.raises(ConfigError, match=r"train\.format: cannot be 'conlu'") as caught:
        validate(Language, {"train": {"path": "x", "format": "conlu"}}, "config: languages.fr")
    assert "'conllu'" in caught.value.hint


@pytest.mark.parametrize("kind", names_in(FORMATS))
@pytest.mark.parametrize("content", [b"", b"\n\n \n"])
def test_an_empty_file_is_an_error(given_file, kind, content):
    with pytest.raises(DataError):
        given_file(content, format=kind, name="unlabelled")


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "no.conll", tmp_path):
        with pytest.raises(DataError) as caught:
            list(read(path, Language()))
        assert caught.value.where == str(path)


LINES = st.text(st.sampled_from("1234-._\t :aO#\n\r\u3000B\ufeff\x00\u2028"), max_size=60).map(str.encode)


@FUZZ
@given(
    data=st.binary(max_size=80) | LINES,
    kind=st.sampled_from(names_in(FORMATS)),
)
def test_no_bytes_crash_a_reader(tmp_path, data, kind):
    path = tmp_path / "fuzz"
    path.write_bytes(data)
    for split in ("train", "unlabelled"):
        try:
            for sentence in read(path, Language(format=kind, comment="##"), name=split):
                assert sentence.tokens and all(sentence.tokens)
                assert sentence.tags is None or len(sentence.tags) == len(sentence.tokens)
        except TagdistillError:
            pass


@FUZZ
@given(data=st.binary(max_size=40), place=st.integers(0, 400))
def test_no_damage_to_an_archive_or_a_table_crashes_a_reader(tmp_path, data, place):
    table = parquet(tmp_path / "p", tokens=[["a"]] * 9, tags=[["O"]] * 9)
    for kind, file, whole in (("wikiann", "x.tar.gz", archive(train="fa:a\tO\n" * 99)), ("parquet", "x", table)):
        path = tmp_path / file
        path.write_bytes(whole[:place] + data + whole[place + len(data) :])
        with contextlib.suppress(TagdistillError):
            list(read(path, Language(format=kind)))
