"""JSON lines: tokens and tags, and the exports of annotation tools, a text with spans by character offsets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tagdistill.data.labels import spans
from tagdistill.data.prepare import Read, read_split
from tagdistill.data.readers.notes import Notes
from tagdistill.data.readers.read import read_texts
from tagdistill.errors import DataError, LayoutError
from tagdistill.settings.language import Language

TEXT = "Ada Lovelace left Oslo."
SPANS = [(0, 12, "PER"), (18, 22, "LOC")]
TOKENS = ["Ada", "Lovelace", "left", "Oslo", "."]
TAGS = ["B-PER", "I-PER", "O", "B-LOC", "O"]


@pytest.fixture
def reading(tmp_path: Path):
    """Write values, each on a line, or a text, and read it as one split."""

    def run(*values: Any, split: str = "train", labels=("PER", "LOC"), **keys: Any) -> Read:
        lines = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
        path = tmp_path / "x.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        settings = Language.model_validate({"format": "jsonl", split: "x.jsonl", **keys})
        return read_split(path, language="x", split=split, settings=settings, task="ner", labels=labels)

    return run


def found(read: Read) -> list[str]:
    """Return the words and type of every span."""
    pairs = zip(read.sentences, read.labels or [], strict=True)
    return [f"{' '.join(x.tokens[a:b])}/{kind}" for x, row in pairs for kind, a, b in spans(row)]


def objects(start: str, end: str, kind: str, **more: Any) -> list[dict[str, Any]]:
    return [{start: a, end: b, kind: label, **more} for a, b, label in SPANS]


PIECES = [{"text": t, "start": a, "end": a + len(t), "id": n} for n, (t, a) in enumerate(
    [("Ada", 0), ("Lovelace", 4), ("left", 13), ("Oslo", 18), (".", 22)]
)]  # fmt: skip
LABEL_STUDIO = [
    {"value": {"start": a, "end": b, "text": TEXT[a:b], "labels": [label]}, "type": "labels", "from_name": "label"}
    for a, b, label in SPANS
]
LAYOUTS: dict[str, Any] = {
    "tokens and tags": {"id": 7, "tokens": TOKENS, "tags": TAGS},
    "ner_tags": {"words": TOKENS, "ner_tags": TAGS},
    "doccano": {"id": 7, "text": TEXT, "label": [list(span) for span in SPANS]},
    "doccano, later": {
        "id": 7,
        "text": TEXT,
        "entities": objects("start_offset", "end_offset", "label"),
        "Comments": [],
    },
    "doccano, earlier": {"data": TEXT, "label": [list(span) for span in SPANS]},
    "prodigy": {"text": TEXT, "tokens": PIECES, "spans": objects("start", "end", "label"), "answer": "accept"},
    "prodigy without tokens": {"text": TEXT, "spans": objects("start", "end", "label")},
    "label studio": {"id": 7, "data": {"text": TEXT}, "annotations": [{"result": LABEL_STUDIO}]},
    "label studio, small": {"id": 7, "text": TEXT, "label": [item["value"] for item in LABEL_STUDIO]},
    "spacy": [TEXT, {"entities": [list(span) for span in SPANS]}],
}


LAYOUTS["tokens beside a text"] = {"text": TEXT, "tokens": TOKENS, "labels": [list(span) for span in SPANS]}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scheme", ["IOB2", "BIOES"])
def test_every_layout_is_the_same_sentence(reading, layout: str, scheme: str):
    value = LAYOUTS[layout]
    if scheme == "BIOES" and layout in ("tokens and tags", "ner_tags"):
        pytest.skip("tags are written in the scheme of the file")
    read = reading(value, value, scheme=scheme)
    assert [sentence.tokens for sentence in read.sentences] == [TOKENS, TOKENS]
    assert found(read) == ["Ada Lovelace/PER", "Oslo/LOC"] * 2 and read.notes.kinds == {}
    assert [sentence.line for sentence in read.sentences] == [1, 2]
    assert read.sentences[0].source_id in ("7", "")
    plain = reading(value, split="unlabelled")
    assert [sentence.tokens for sentence in plain.sentences] == [TOKENS] and plain.labels is None


def test_one_array_is_read_as_its_values(reading):
    values = [LAYOUTS["label studio"], LAYOUTS["doccano"]]
    for text in (json.dumps(values), json.dumps(values, indent=1)):
        read = reading(text)
        assert found(read) == ["Ada Lovelace/PER", "Oslo/LOC"] * 2
        assert read.sentences[1].where("x") == "x: sentence 2"


def test_each_line_of_a_text_is_a_sentence(reading):
    text = "Ada left.\n\nEva and\nOslo "
    targets = [[0, 3, "PER"], [11, 14, "PER"], [15, 23, "LOC"], [19, 24, "LOC"]]
    read = reading({"text": text, "label": targets})
    assert [sentence.tokens for sentence in read.sentences] == [["Ada", "left", "."], ["Eva", "and"], ["Oslo"]]
    assert found(read) == ["Ada/PER", "Eva/PER", "Oslo/LOC"]
    assert {kind: note.places for kind, note in read.notes.kinds.items()} == {
        "targets lost, which run over the end of a line": [r":1: 'and\nOslo'"],
        "targets read without the white space at their ends": [":1: 'Oslo '"],
    }


def test_spans_that_cannot_be_read_are_noted_with_their_place(reading):
    targets = [
        [0, 2, "PER"],
        [1, 99, "PER"],
        [-3, 3, "LOC"],
        [0, 12, "PER"],
        [4, 12, "LOC"],
        [0, 12, "PER"],
        [3, 4, "LOC"],
    ]
    read = reading({"text": TEXT, "label": [[18, 22, "LOC"]]}, {"text": TEXT, "label": targets})
    assert found(read) == ["Oslo/LOC", "Ada Lovelace/PER"]
    assert read.notes.counts() == {
        "targets lost, whose offsets do not give their text": 3,
        "targets lost, which begin or end inside a word": 1,
        "targets lost, which overlap another": 1,
        "repeated targets, read once": 1,
    }
    assert read.notes.kinds["targets lost, which begin or end inside a word"].places == [":2: 'Ad'"]


def test_a_span_whose_text_stands_elsewhere_is_lost_and_blanks_at_both_ends_are_left_out(reading):
    said = [
        {"start": 0, "end": 3, "label": "PER", "text": "Bob"},
        {"start": 17, "end": 22, "label": "LOC", "text": " Oslo"},
    ]
    read = reading({"text": TEXT, "entities": said})
    assert found(read) == ["Oslo/LOC"]
    assert read.notes.kinds["targets lost, whose offsets do not give their text"].places == [
        ":1: 'Bob' at 0 to 3, where 'Ada' stands"
    ]
    assert read.notes.kinds["targets read without the white space at their ends"].places == [":1: ' Oslo'"]


def test_of_targets_that_overlap_the_first_is_kept_and_of_those_that_begin_together_the_longer(reading):
    read = reading({"text": TEXT, "label": [[0, 3, "LOC"], [0, 12, "PER"], [13, 22, "LOC"], [4, 17, "PER"]]})
    assert found(read) == ["Ada Lovelace/PER", "left Oslo/LOC"]
    assert read.notes.kinds["targets lost, which overlap another"].places == [":1: 'Ada'", ":1: 'Lovelace left'"]


def test_what_was_not_accepted_and_what_is_empty_is_left_out(reading):
    accepted = LAYOUTS["prodigy"]
    read = reading(
        accepted, {**accepted, "answer": "reject"}, {**accepted, "answer": "ignore"}, {"text": " ", "label": []}
    )
    assert len(read.sentences) == 1
    assert {kind: note.places for kind, note in read.notes.kinds.items()} == {
        "records left out that their annotator did not accept": [":2", ":3"],
        "empty rows left out": [":4"],
    }


def test_the_key_of_tags_that_is_asked_for_is_read_beside_a_text_with_spans(reading):
    value = {
        "text": TEXT,
        "tokens": TOKENS,
        "y": ["O", "O", "O", "B-LOC", "O"],
        "label": [list(span) for span in SPANS],
    }
    assert found(reading(value, columns={"tag": "y"})) == ["Oslo/LOC"]
    assert found(reading(value)) == ["Ada Lovelace/PER", "Oslo/LOC"]


def test_tokens_that_are_asked_for_are_read_beside_an_empty_text_and_its_spans(reading):
    given = {"text": TEXT, "tokens": TOKENS, "labels": TAGS, "spans": []}
    empty = {"text": "", "tokens": [], "labels": [], "spans": []}
    read = reading(given, empty, columns={"token": "tokens", "tag": "labels"})
    assert found(read) == ["Ada Lovelace/PER", "Oslo/LOC"] and read.notes.count("empty rows left out") == 1


def test_of_label_studio_the_first_annotation_that_was_not_cancelled_is_read(reading):
    record = dict(LAYOUTS["label studio"])
    empty = {"result": [], "was_cancelled": False}
    cancelled = {"result": LABEL_STUDIO[:1], "was_cancelled": True}
    whole = {"result": LABEL_STUDIO}
    for done, expected in (
        ([cancelled, whole, empty], ["Ada Lovelace/PER", "Oslo/LOC"]),
        ([cancelled, empty, whole], []),
        ([{"result": 5}], []),
        ([{"result": [5, {"value": {"choices": ["a"]}}, *LABEL_STUDIO[1:]]}], ["Oslo/LOC"]),
    ):
        assert found(reading({**record, "annotations": done})) == expected
    read = reading({**record, "annotations": [whole, empty]}, {**record, "annotations": [cancelled, whole]})
    assert {kind: note.places for kind, note in read.notes.kinds.items()} == {
        "tasks of several annotations, whose first one is read": [":1"]
    }
    del record["annotations"]
    assert found(reading({**record, "completions": [whole]})) == ["Ada Lovelace/PER", "Oslo/LOC"]


def test_a_task_that_nobody_has_labelled_is_no_sentence_without_spans(reading):
    record = dict(LAYOUTS["label studio"])
    cancelled = {**record, "annotations": [{"result": LABEL_STUDIO, "was_cancelled": True}]}
    todo = {**record, "annotations": [], "predictions": [{"result": LABEL_STUDIO}]}
    read = reading(cancelled, todo, {"data": {"text": TEXT}}, record, {**record, "annotations": 5})
    assert found(read) == ["Ada Lovelace/PER", "Oslo/LOC"]
    assert {kind: note.places for kind, note in read.notes.kinds.items()} == {
        "tasks left out that nobody has labelled": [":1", ":2", ":3", ":5"]
    }
    assert len(reading(cancelled, todo, split="unlabelled").sentences) == 2
    with pytest.raises(DataError, match=r"no sentence is left: nobody has labelled any of the 2 tasks"):
        reading(cancelled, todo)
    own = {"data": {"text": TEXT, "label": [list(span) for span in SPANS]}}
    assert found(reading(own)) == ["Ada Lovelace/PER", "Oslo/LOC"]


def test_a_record_that_was_not_accepted_needs_no_spans(reading):
    assert len(reading({"text": "Bo", "answer": "ignore"}, LAYOUTS["prodigy"]).sentences) == 1


def test_class_numbers_and_columns_have_names(reading):
    value = {"toks": TOKENS, "y": [1, 2, 0, 3, 0]}
    read = reading(value, columns={"token": "toks", "tag": "y"}, names=["O", "B-PER", "I-PER", "B-LOC"])
    assert found(read) == ["Ada Lovelace/PER", "Oslo/LOC"]
    with pytest.raises(DataError, match="class 3, but 3 are named"):
        reading(value, columns={"token": "toks", "tag": "y"}, names=["O", "B-PER", "I-PER"])
    with pytest.raises(DataError, match=r"x\.jsonl:1: labels are class numbers, and nothing names the classes"):
        reading(value, columns={"token": "toks", "tag": "y"})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", ":1: not JSON: "),
        ("[" * 100_000, ":1: not JSON that can be read"),
        ("7", ":1: a number where a JSON object is needed"),
        ('"a"', ":1: a text where a JSON object is needed"),
        ("true", ":1: a truth value where a JSON object is needed"),
        ("null", ":1: null where a JSON object is needed"),
        ('{"text": "a", "entities": []}\n[]', ":2: an array where a JSON object is needed"),
        ({"tokens": ["a"]}, ":1: no key 'tags'"),
        ({"tokens": ["a"], "tags": ["O"], "ner_tags": ["O"]}, ":1: several keys of tags: tags, ner_tags"),
        ({"tokens": ["a", 1], "tags": ["O", "O"]}, ":1: no token, or an empty one"),
        ({"tokens": ["a"], "tags": ["O", "O"]}, ":1: 2 labels for 1 tokens"),
        ({"tokens": ["a"], "tags": [True]}, ":1: an empty label"),
        ('{"tokens": ["\\ud800"], "tags": ["O"]}', ":1: half of a character"),
        ({"txt": "a"}, ":1: neither tokens nor a text: no key 'text'\n  Did you mean 'txt'?"),
        ({"id": "c", "text": None}, ":1: 'text' is null, a text is needed\n  Write \"\" for none"),
        ({"data": ["a"]}, ":1: 'data' is an array, a text is needed"),
        ({"text": {"a": 1}}, ":1: 'text' is an object, a text is needed"),
        ({"tokens": "a b", "tags": ["O", "O"]}, ":1: 'tokens' is a text, a list of words is needed"),
        ({"text": "a"}, ":1: no list of spans 'entities'"),
        ({"text": "a", "entities": None}, ":1: 'entities' is null, a list of spans is needed\n  Write [] for none"),
        ({"text": "a", "label": [[0, "1", "PER"]]}, ":1: a span with start 0, end '1'"),
        ({"text": "a", "label": [[0, 1]]}, ":1: a span that is neither"),
        ({"text": "ab", "tokens": [{"text": "b", "start": 0, "end": 1}], "spans": []}, ":1: tokens whose offsets"),
    ],
)
def test_what_is_no_such_record_is_told_with_its_line(reading, tmp_path: Path, value: Any, says: str):
    with pytest.raises(DataError) as caught:
        reading(value)
    assert str(caught.value).replace(str(tmp_path), "").startswith(f"/x.jsonl{says}")


@pytest.mark.parametrize("broken", ["refuse", "leave_out"])
def test_classes_without_names_are_an_error_of_the_setting_and_leave_no_sentence_out(reading, broken):
    rows = [{"tokens": ["a", "b"], "tags": [0, 1]}, {"tokens": ["a", "b"], "tags": [4, 2]}]
    with pytest.raises(DataError, match="class 4, but 2 are named") as caught:
        reading(*rows, names=["O", "B-PER"], broken=broken)
    assert caught.value.hint == "`names:` must list all classes in order, from 0 to 4 at least."
    with pytest.raises(DataError, match="nothing names the classes") as caught:
        reading(*rows, broken=broken)
    assert caught.value.hint == "Give their names in order: `names: [O, B-PER, ...]`."
    with pytest.raises(DataError, match="several keys of tags") as caught:
        reading({"tokens": ["a"], "tags": ["O"], "ner_tags": ["O"]}, broken=broken)
    assert "leave_out" not in caught.value.hint


def test_a_key_that_the_first_record_lacks_is_no_reason_to_leave_it_out(reading):
    whole, lacking = {"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a"], "marks": ["O"]}
    for rows, advised in (([lacking], False), ([whole, lacking], True)):
        with pytest.raises(DataError, match=f":{len(rows)}: no key 'tags'") as caught:
            reading(*rows)
        assert ("leave_out" in caught.value.hint) == advised and "Say which: `columns:" in caught.value.hint


@pytest.mark.parametrize(
    ("rows", "advised"),
    [
        ([{"txt": "a"}], False),
        ([{"text": "a"}, {"txt": "a"}], True),
        ([{"answer": "reject"}, {"txt": "a"}], True),
        ([7], True),
    ],
)
def test_nor_where_it_is_a_text_to_label(tmp_path: Path, rows: list[Any], advised: bool):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    settings = Language.model_validate({"format": "jsonl", "unlabelled": "x.jsonl"})
    with pytest.raises(DataError, match=f":{len(rows)}: ") as caught:
        list(read_texts(path, settings, lambda handle: handle, where="x.jsonl", notes=Notes()))
    assert ("leave_out" in (caught.value.hint or "")) == advised


@pytest.mark.parametrize("hint", [None, "Read it in another way.", "It holds `format: x`."])
@pytest.mark.parametrize(("kind", "advised"), [(LayoutError, False), (DataError, True)])
def test_whether_the_layout_is_at_fault_is_not_told_by_the_words_of_the_hint(reading, monkeypatch, kind, hint, advised):
    def refuse(*_: Any, where: str = "x", **__: Any) -> None:
        raise kind("odd", where=where, hint=hint)

    monkeypatch.setattr("tagdistill.data.readers.formats.jsonl.record_of", refuse)
    with pytest.raises(DataError, match="odd") as caught:
        reading({"tokens": ["a"], "tags": ["O"]})
    assert ("leave_out" in (caught.value.hint or "")) == advised


def test_a_class_that_no_list_could_name_is_left_out_as_asked(reading):
    rows = [{"tokens": ["a", "b"], "tags": [0, 1]}, {"tokens": ["a", "b"], "tags": [-100, 0]}]
    with pytest.raises(DataError, match="class -100, but 2 are named") as caught:
        reading(*rows, names=["O", "B-PER"])
    assert caught.value.hint == "`broken: leave_out` leaves such sentences out."
    assert found(reading(*rows, names=["O", "B-PER"], broken="leave_out")) == ["b/PER"]
