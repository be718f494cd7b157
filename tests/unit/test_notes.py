"""What readers note about a file: counts, first places, and the lines that people read."""

from __future__ import annotations

from tagdistill.data.readers.notes import MAX_DETAIL, MAX_PLACES, Notes, note_lines


def test_all_are_counted_and_the_first_have_their_place():
    notes = Notes()
    for number in range(MAX_PLACES + 2):
        notes.add("tags repaired", f":{number}", "'I-PER' after 'O'")
    notes.add("empty rows", ":7")
    notes.add("without a place")
    assert notes.counts() == {"tags repaired": MAX_PLACES + 2, "empty rows": 1, "without a place": 1}
    assert (notes.count("tags repaired"), notes.count("empty rows"), notes.count("never")) == (MAX_PLACES + 2, 1, 0)
    places = [f"x.conll:{number}: 'I-PER' after 'O'" for number in range(MAX_PLACES)]
    record = notes.record("x.conll")
    assert list(record) == ["empty rows", "tags repaired", "without a place"]
    assert record["empty rows"] == {"count": 1, "places": ["x.conll:7"]}
    assert record["tags repaired"] == {"count": MAX_PLACES + 2, "places": places}
    assert record["without a place"] == {"count": 1, "places": []}
    notes.clear()
    assert notes.counts() == {} == notes.record("x")


def test_what_stands_there_is_cut_to_a_length():
    notes = Notes()
    for length in (MAX_DETAIL, MAX_DETAIL + 1):
        notes.add("long", ":1", "x" * length)
    assert notes.kinds["long"].places == [f":1: {'x' * MAX_DETAIL}", f":1: {'x' * (MAX_DETAIL - 3)}..."]


def test_a_line_for_people_has_the_count_and_three_places():
    places = [f"x:{number}" for number in range(4)]
    record = {
        "empty rows": {"count": 0, "places": []},
        "few": {"count": 2, "places": places[:2]},
        "just three": {"count": 3, "places": places[:3]},
        "many": {"count": 1234, "places": places},
    }
    assert list(note_lines(record)) == [
        "empty rows: 0",
        "few: 2 (x:0; x:1)",
        "just three: 3 (x:0; x:1; x:2)",
        "many: 1,234 (x:0; x:1; x:2, ...)",
    ]
    assert next(note_lines({"many": record["many"]}, places=1)) == "many: 1,234 (x:0, ...)"
    assert next(note_lines({"a\x1b": {"count": 1, "places": []}})) == "a\\x1b: 1"
