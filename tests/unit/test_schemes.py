"""Schemes of spans beyond IOB and BIOES, tags without types or prefixes, and label maps for what is not wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagdistill.data.labels import from_spans, spans
from tagdistill.data.prepare import Read, read_split
from tagdistill.data.schemes import PREFIXES, BadTag, to_bioes
from tagdistill.errors import DataError
from tagdistill.settings.language import Language
from tagdistill.settings.names import Scheme

WANTED = ["B-PER", "I-PER", "E-PER", "O", "S-LOC"]
WRITTEN = {
    "BIOES": WANTED,
    "BILOU": ["B-PER", "I-PER", "L-PER", "O", "U-LOC"],
    "BMES": ["B-PER", "M-PER", "E-PER", "O", "S-LOC"],
    "IOB2": ["B-PER", "I-PER", "I-PER", "O", "B-LOC"],
    "BIO": ["B-PER", "I-PER", "I-PER", "O", "B-LOC"],
    "IOB1": ["I-PER", "I-PER", "I-PER", "O", "I-LOC"],
    "IO": ["PER", "PER", "I-PER", "O", "LOC"],
}


def test_every_scheme_of_the_settings_has_its_prefixes():
    assert set(PREFIXES) == set(get_args(Scheme)) == set(WRITTEN)


@pytest.mark.parametrize("scheme", WRITTEN)
def test_a_span_is_the_same_in_every_scheme(scheme: Scheme):
    assert to_bioes(WRITTEN[scheme], scheme) == (WANTED, [])


@given(
    st.lists(st.tuples(st.sampled_from(["PER", "LOC", None]), st.integers(1, 4)), max_size=6),
    st.sampled_from(["BILOU", "BMES"]),
)
def test_other_letters_say_the_spans_of_bioes(runs: list[tuple[str | None, int]], scheme: Scheme):
    found, place = [], 0
    for kind, length in runs:
        found += [(kind, place, place + length)] if kind else []
        place += length
    labels = from_spans(found, place)
    letters = {ours: theirs for theirs, ours in PREFIXES[scheme].items()}
    assert to_bioes([letters.get(x[0], x[0]) + x[1:] for x in labels], scheme) == (labels, [])
    assert spans(labels) == found


@pytest.mark.parametrize(
    ("scheme", "tags", "labels", "repaired"),
    [
        ("BILOU", ["B-X", "O", "L-X"], ["S-X", "O", "S-X"], [0, 2]),
        ("BMES", ["M-X", "E-X"], ["B-X", "E-X"], [0]),
        ("BMES", ["W-X", "B-X", "W-X"], ["S-X", "S-X", "S-X"], [1]),
        ("IO", ["X", "X", "Y"], ["B-X", "E-X", "S-Y"], []),
        ("IO", ["deriv-per", "O"], ["S-deriv-per", "O"], []),
    ],
)
def test_what_neighbours_contradict_is_repaired_and_counted(
    scheme: Scheme, tags: list[str], labels: list[str], repaired: list[int]
):
    assert to_bioes(tags, scheme) == (labels, repaired)


def test_tags_without_a_type_get_the_only_one():
    tags = ["O", "B", "I", "B", "O", "I"]
    assert to_bioes(tags, "BIO", only_type="TARGET") == (
        ["O", "B-TARGET", "E-TARGET", "S-TARGET", "O", "S-TARGET"],
        [5],
    )
    assert to_bioes(["B", "M", "E", "S", "O"], "BMES", only_type="X")[0] == ["B-X", "I-X", "E-X", "S-X", "O"]
    with pytest.raises(BadTag, match="tag 'B' is not BIO"):
        to_bioes(tags, "BIO")
    with pytest.raises(BadTag, match="tag 'B' is not IOB2"):
        to_bioes(tags, "IOB2", only_type="TARGET")


@pytest.fixture
def reading(tmp_path: Path):
    """Read tags of one sentence as the train split; each tag stands on a line of its own."""

    def run(*tags: str, labels: Any = ("PER", "LOC"), task: str = "ner", **keys: Any) -> Read:
        path = tmp_path / "x.conll"
        path.write_text("".join(f"w\t{tag}\n" for tag in tags), encoding="utf-8")
        settings = Language.model_validate({"train": "x.conll", **keys})
        return read_split(path, language="x", split="train", settings=settings, task=task, labels=labels)

    return run


@pytest.mark.parametrize(
    ("tags", "scheme", "labels", "hint"),
    [
        (["B-PER", "L-PER", "U-LOC"], "IOB2", ("PER", "LOC"), "Use `scheme: BILOU` for this file."),
        (["B-PER", "M-PER", "E-PER"], "BIOES", ("PER", "LOC"), "Use `scheme: BMES` for this file."),
        (["B-PER", "E-PER", "S-LOC"], "IOB2", ("PER", "LOC"), "Use `scheme: BIOES` for this file."),
        (["B-PER", "I-PER"], "IO", ("PER", "LOC"), "Use `scheme: IOB1` for this file."),
        (["PER", "O", "LOC"], "IOB2", ("PER", "LOC"), "Use `scheme: IO` for this file: its tags are types"),
        (["B", "I", "O"], "IOB2", ("PER",), "Use `scheme: BIO` for this file."),
        (["B", "I", "O"], "BIO", ("PER", "LOC"), "`label_map: {B: B-TYPE, I: I-TYPE}`"),
        (["NN", "VB", "O"], "IOB2", ("PER", "LOC"), "Check the tag column (`columns:`)"),
    ],
)
def test_the_hint_names_what_reads_the_file(reading, tags: list[str], scheme: str, labels: tuple[str, ...], hint: str):
    with pytest.raises(DataError) as caught:
        reading(*tags, scheme=scheme, labels=labels)
    assert hint in str(caught.value)
    if "scheme: " in hint and "columns" not in hint:
        found = reading(*tags, scheme=hint.split("`")[1].split()[1], labels=labels)
        assert found.labels and set(found.labels[0]) != {"O"}


def test_a_whole_tag_is_renamed_once(reading):
    found = reading("PERSON", "PERSON", "O", "LOC", label_map={"PERSON": "I-PER", "LOC": "B-LOC"})
    assert found.labels == [["B-PER", "E-PER", "O", "S-LOC"]]
    same = reading("PER", "O", label_map={"PER": "I-PER"})
    assert same.labels == [["S-PER", "O"]]
    swapped = reading("PER", "LOC", scheme="IO", label_map={"PER": "LOC", "LOC": "PER"})
    assert swapped.labels == [["S-LOC", "S-PER"]]


def test_all_other_types_can_be_renamed_at_once_and_are_noted(reading):
    tags = ("B-PER", "B-DATE", "I-DATE", "B-PLACE", "B-O2")
    found = reading(*tags, label_map={"PLACE": "LOC", "*": "O"})
    assert found.labels == [["S-PER", "O", "O", "S-LOC", "O"]]
    note = found.notes.kinds['tags of other types, which "*" of the label map renames']
    assert (note.count, note.places) == (3, [":2: 'B-DATE'", ":3: 'I-DATE'", ":5: 'B-O2'"])
    other = reading(*tags, labels=("PER", "LOC", "MISC"), label_map={"PLACE": "LOC", "*": "MISC"})
    assert other.labels == [["S-PER", "B-MISC", "E-MISC", "S-LOC", "S-MISC"]]
    with pytest.raises(DataError, match="tag 'DATE' is not IOB2"):  # what is no tag is no other type
        reading("B-PER", "DATE", label_map={"*": "O"})


def test_all_other_tags_of_words_can_be_renamed_at_once(reading):
    found = reading("NOUN", "NNP", "CONJ", labels="upos", task="pos", label_map={"CONJ": "CCONJ", "*": "X"})
    assert found.labels == [["NOUN", "X", "CCONJ"]]
    assert found.notes.counts() == {'tags of other types, which "*" of the label map renames': 1}
