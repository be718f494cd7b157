"""Which mutants there are, which lines stand for them, and which tests run these."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mutmut", reason="make mutation installs mutmut")

from covering import Covering, content
from mutants import _of_file, change, drawn, lines_run

TEXT = """
def area(width, height=2):
    if (
        width < 0
    ):
        return 0
    return (
        width
        * height
    )
"""


def test_a_mutant_is_a_change_of_one_place_and_stands_for_the_lines_of_its_statement():
    changes = {
        (found.before, found.after): found for each in _of_file("a.py", TEXT) for found in [change(TEXT, each.text)]
    }
    assert lines_run(TEXT, changes["width < 0", "width <= 0"]) == range(3, 6)  # the condition, without what it guards
    assert lines_run(TEXT, changes["return 0", "return 1"]) == range(6, 7)
    assert lines_run(TEXT, changes["width * height", "width / height"]) == range(7, 11)
    assert lines_run(TEXT, changes["def area(width, height=2):", "def area(width, height=3):"]) == range(2, 11)


def test_the_draw_of_a_seed_changes_only_with_the_functions():
    before = _of_file("a.py", f"{TEXT}\ndef other(a):\n    return a + 1\n")
    after = _of_file("a.py", f"def first(a):\n    return a - 1\n{TEXT}")
    common = {each.key for each in before} & {each.key for each in after}
    assert len(common) == len(_of_file("a.py", TEXT))
    order = [[each.key for each in drawn(some, 0, 3) if each.key in common] for some in (before, after)]
    assert order[0] == order[1] != [each.key for each in drawn(before, 0, 4) if each.key in common]


def test_what_a_fixture_runs_counts_for_all_tests_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("src/a.py", "tests/test_a.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    tests = {"tests/test_a.py::one": 1.0, "tests/test_a.py::two": 2.0, "tests/test_a.py::broken": 3.0}
    record = {
        "content": content([Path("tests/test_a.py")]),
        "seconds": tests,
        "failed": ["tests/test_a.py::broken"],
        "lines": {"a.py": {"4": ["tests/test_a.py::one", "tests/test_a.py::broken"], "9": ["tests/test_a.py"]}},
    }
    covering = Covering(tmp_path / "store", tmp_path / "src", ["tests/test_a.py"])
    assert covering.missing == ["tests/test_a.py"]
    (tmp_path / "new").write_text(json.dumps({"files": {"tests/test_a.py": record}, "modules": []}))
    covering.add(tmp_path / "new")
    assert covering.tests("a.py", range(3, 5), 20) == {"tests/test_a.py::one": 1.0}
    assert covering.tests("a.py", range(9, 10), 20) == {"tests/test_a.py::one": 1.0, "tests/test_a.py::two": 2.0}
    assert covering.tests("a.py", range(9, 10), 2.5) == {"tests/test_a.py::one": 1.0}
    assert covering.tests("a.py", range(5, 9), 20) == covering.tests("b.py", range(9), 20) == {}
    again = Covering(tmp_path / "store", tmp_path / "src", ["tests/test_a.py"])
    assert again.missing == [] and again.tests("a.py", [4], 20) == {"tests/test_a.py::one": 1.0}
    (tmp_path / "src/a.py").write_text("changed")
    assert Covering(tmp_path / "store", tmp_path / "src", ["tests/test_a.py"]).missing == ["tests/test_a.py"]


def test_a_mutant_is_tried_again_only_if_it_survived_and_its_tests_are_others(tmp_path: Path, monkeypatch):
    import mutate

    monkeypatch.chdir(tmp_path)
    for name in ("LOG", "VERDICTS"):
        monkeypatch.setattr(mutate, name, tmp_path / name)
    (tmp_path / "LOG").write_text("....\nFAILED test_a.py::one - assert 1 == 2\n")
    verdicts = iter(["survived", "killed"])
    monkeypatch.setattr(mutate, "verdict", lambda *_: next(verdicts))
    known = SimpleNamespace(tests=lambda *_: {"test_a.py::one": 1.0})
    mutant, other, *_ = _of_file("a.py", TEXT)
    found = []
    for content_of_tests in ("first", "first", "second", "third"):
        (tmp_path / "test_a.py").write_text(content_of_tests)
        mutate.stored.cache_clear()
        found.append(mutate.tried_out(mutant, known)["verdict"])
    mutate.stored.cache_clear()
    assert found == ["survived", "survived", "killed", "killed"] and next(verdicts, None) is None
    assert [json.loads(line)["by"] for line in (tmp_path / "VERDICTS").read_text().splitlines()][1] == "test_a.py::one"
    unknown = SimpleNamespace(tests=lambda *_: {})
    assert mutate.tried_out(other, unknown)["verdict"] == "survived"
