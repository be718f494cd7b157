"""Parts of the report by themselves: tables, notes, licences and durations."""

from types import SimpleNamespace

import pytest
from synthetic_results import build, settings

from tagdistill.data.readers.notes import BYTE_ORDER_MARKS, NULS, REPAIRED, TABS_IN_TOKENS
from tagdistill.formatting import duration
from tagdistill.reporting.facts import non_commercial, read_stages
from tagdistill.reporting.html import Field, Head, Table
from tagdistill.reporting.notes import notes
from tagdistill.reporting.objective_settings import objective_table
from tagdistill.reporting.sections import data_table


def test_stages_come_from_benchmarks(tmp_path):
    _, benchmarks = build(tmp_path)
    assert [(s.name, s.jobs, s.seconds) for s in read_stages(benchmarks)] == [
        ("train_student", 1, 44.25),
        ("train_teacher", 1, 31.0),
        ("encode", 2, 10.0),
    ]
    assert read_stages(None) == [] == read_stages(tmp_path / "none")


def test_durations_read_as_a_person_would_write_them():
    assert [duration(x) for x in (4.25, 9.96, 59.4, 59.7, 185, 7800)] == [
        *("4.2 s", "10 s", "59 s", "1 min 0 s", "3 min 5 s", "2 h 10 min")
    ]


@pytest.mark.parametrize(
    "licence", ["CC BY-NC-SA 4.0", "CC-BY-NC 3.0", "for non-commercial use", "noncommercial", "research use only"]
)
def test_licences_that_forbid_commercial_use_are_found(licence):
    assert non_commercial(licence)
    assert not non_commercial("CC BY-SA 4.0") and not non_commercial(None) and not non_commercial("INCOME licence")


def test_the_settings_of_each_objective_are_shown():
    hot = {"name": "hot", "loss": "posterior", "temperature": 2.25, "unlabelled_ratio": 0, "anneal": {"tau": 0.5}}
    listed = ["baseline", "posterior", hot, {"name": "top_k", "k": 1}, "top_wk", "pseudo_labels"]
    files = {"train": "a", "test": "b", "unlabelled": "c", "format": "conllu"}
    experiment = settings(distill={"objectives": listed, "temperature": 0.5}, languages={"en": files}, zero_shot={})
    table = objective_table(experiment)
    assert {head.text: [cell.text for cell in cells] for head, cells in table.rows} == {
        "baseline": ["baseline", "–", "–", "–", "–"],
        "posterior": ["posterior", "1 to 0", "0.5", "–", "1"],
        "hot": ["posterior", "1, less 0.5% per epoch", "2.25", "–", "0"],
        "top_k": ["top_k", "1 to 0", "–", "1", "1"],
        "top_wk": ["top_wk", "1 to 0", "–", "10", "1"],
        "pseudo_labels": ["pseudo_labels", "0", "–", "–", "1"],
    }


def test_many_languages_become_rows_with_the_averages_first():
    columns = [*(Head(f"l{n}") for n in range(40)), Head("average", tone="average")]
    row = (Head("posterior"), [Field(str(n)) for n in range(41)])
    turned = Table(columns, [row]).narrow()
    assert [head.text for head, _ in turned.rows][:2] == ["average", "l0"] and turned.tall
    assert turned.rows[0][1][0].text == "40" and [head.text for head in turned.columns] == ["posterior"]
    assert Table(columns[:3], [row]).narrow().columns == columns[:3]


def test_what_the_tokenizer_did_not_know_is_in_the_data_table():
    reports = {"fr": {"splits": {"test": {"sentences": 3, "tokens": 9}}}}
    table = data_table(reports, {("fr", "test"): {"words with an unknown piece": 2}})
    assert "2 words with an unknown piece" in str(table)
    assert "unknown piece" not in str(data_table(reports))


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        (BYTE_ORDER_MARKS, "1 byte order mark left out", "2 byte order marks left out"),
        ("sentences split into windows", "1 sentence split into windows", "2 sentences split into windows"),
        ("words with an unknown piece", "1 word with an unknown piece", "2 words with an unknown piece"),
        (REPAIRED, "1 badly started span repaired", "2 badly started spans repaired"),
        (TABS_IN_TOKENS, "1 token that holds a TAB", "2 tokens that hold a TAB"),
        (NULS, "1 line or row that holds the character NUL", "2 lines or rows that hold the character NUL"),
    ],
)
def test_one_of_a_kind_is_no_plural_in_the_data_table(kind, one, two):
    for number, shown in ((1, one), (2, two)):
        reports = {"fr": {"splits": {"test": {"sentences": 3, "notes": {kind: {"count": number, "places": []}}}}}}
        assert f"'{shown}'" in str(data_table(reports))


def test_the_note_on_demonstration_data_is_of_the_languages_that_are():
    def note(**changes) -> str:
        results = SimpleNamespace(experiment=settings(**changes), missing=[], counts={})
        analysis = SimpleNamespace(results=results, targets=[])
        return next((text for text in notes(analysis, [], {}) if "demonstration data" in text), "")

    demo = {name: {"source": "demo"} for name in ("en", "es")}
    unseen = {"de": {"source": "demo"}}
    assert note() == ""
    assert note(zero_shot=unseen).startswith("Part of this is demonstration data, written for this project (de): its")
    assert note(languages=demo, zero_shot=unseen).startswith("This is demonstration data")
    assert "docs/results/index.md" in note(languages=demo, zero_shot=unseen)
