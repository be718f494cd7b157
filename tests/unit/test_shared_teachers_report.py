"""Teachers of several languages, averages and text of zero-shot languages on the report, in tables and on cards."""

from __future__ import annotations

import pytest
from synthetic_results import TRAINED, WRONG, build, settings

from tagdistill.artifacts.files import write_json
from tagdistill.evaluation import tables
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.scores import read_scores
from tagdistill.evaluation.variants import variants
from tagdistill.reporting import headline
from tagdistill.reporting.card import model_card
from tagdistill.reporting.facts import read_runs
from tagdistill.reporting.notes import notes
from tagdistill.reporting.objective_settings import objective_table
from tagdistill.reporting.report import write_cards
from tagdistill.reporting.sections import certainty_table, gap_table
from tagdistill.reporting.weak_teachers import weak_teachers

OF_ALL = {"teachers/all/crf/seed-0": {"en": 110, "fr": 90, "nl": 98, "de": 150, "ar": 450, "xx": 300}}
OBJECTIVES = ["baseline", "posterior"]


@pytest.fixture(scope="module")
def analysis(tmp_path_factory) -> Analysis:
    return read(tmp_path_factory.mktemp("both"), teachers=["own", "all"])


def read(folder, teachers, **changes) -> Analysis:
    wrong = WRONG if "own" in teachers else {x: y for x, y in WRONG.items() if x.startswith("students")}
    results, _ = build(folder, wrong | OF_ALL)
    distill = {"objectives": OBJECTIVES, "teachers": teachers}
    return Analysis(read_scores(results, settings(teachers={"all": {}}, distill=distill, **changes)), draws=200)


def test_scores_without_repeated_test_sentences_are_also_of_teachers_of_several_languages(analysis):
    found = variants(analysis, {"en": {"places": [0, 1]}, "de": {"places": [3]}})
    of_all = {(v.role, v.language): v.main for v in found if v.system == "Teacher all"}
    assert of_all == {("trained", "en"): pytest.approx(89.0), ("zero_shot", "de"): pytest.approx(85.0)}


def values(grid: tables.Grid, title: str) -> list[float]:
    row = next(row for row in grid.rows if row.title == title)
    return [cell.value.mean for cell in row.cells if cell.value]


def test_a_teacher_of_several_languages_has_a_row_of_its_own(analysis):
    grid = tables.in_language(analysis)
    assert [row.title for row in grid.rows] == ["Teachers", "Teacher all", *OBJECTIVES]
    assert values(grid, "Teacher all")[:3] == pytest.approx([89.0, 91.0, 90.2])
    assert values(grid, "Teachers")[:3] == pytest.approx([95.0, 94.0, 90.0])
    unseen = tables.zero_shot(analysis)
    assert [row.title for row in unseen.rows][2] == "Teacher all"
    assert values(unseen, "Teacher all")[:3] == pytest.approx([85.0, 55.0, 70.0])
    # It is no teacher of one language: not among those of which the best is chosen, and not in their mean.
    assert values(unseen, "Best single teacher, chosen on test")[0] == pytest.approx(70.0)
    assert values(unseen, "Mean of the teachers")[0] == pytest.approx(100 - (35 + 40 + 30) / 3)


def test_the_gap_is_that_to_the_teachers_that_taught(analysis, tmp_path):
    (gap,) = (gap for gap in analysis.gaps if gap.language == "en")
    assert gap.taught_by == "own + all"
    assert gap.teachers == pytest.approx((95.0 + 89.0) / 2) and gap.baseline == pytest.approx(89.8)
    assert "gap: teachers own + all (crf) − baseline" in str(gap_table(analysis))
    assert any("The teachers of posterior (own + all) average" in text for text in headline.findings(analysis))
    alone = read(tmp_path, ["all"])
    (gap,) = (gap for gap in alone.gaps if gap.language == "en")
    assert (gap.taught_by, gap.teachers) == ("all", pytest.approx(89.0))
    assert [row.title for row in tables.in_language(alone).rows] == ["Teacher all", *OBJECTIVES]


def test_the_certainty_of_a_teacher_of_several_languages_has_a_row_for_each_of_them(analysis, tmp_path):
    unseen = ["94.60", "96.30", "0.170"]
    found = {head.text: [cell.text for cell in cells] for head, cells in certainty_table(analysis).rows}
    assert list(found)[:3] == [f"{language}/crf/seed-0" for language in TRAINED]
    shared = {f"all/crf/seed-0 in {language}": ["–", "–", "–", *unseen] for language in TRAINED}
    assert dict(list(found.items())[3:]) == shared
    alone = certainty_table(read(tmp_path, ["all"]))
    assert [[cell.text for cell in cells] for _, cells in alone.rows] == [unseen] * len(TRAINED)


def test_teachers_of_several_languages_are_compared_on_unseen_languages_too(analysis):
    found = {(c.system, c.group): c.difference.value for c in analysis.comparisons if "teacher" in c.system}
    assert found["teacher all (crf)", "in_language"] == pytest.approx(90.0667 - 90.0333, abs=0.01)
    assert found["teacher all (crf)", "zero_shot"] == pytest.approx(85.0 - 79.5)
    assert ("teachers (crf)", "in_language") in found and ("teachers (crf)", "zero_shot") not in found


def test_a_teacher_of_several_languages_that_is_below_the_baseline_is_named(analysis, tmp_path):
    english = {"teachers/all/crf/seed-0": OF_ALL["teachers/all/crf/seed-0"] | {"en": 130}}
    results, _ = build(tmp_path, WRONG | english)
    runs = read_runs(results, analysis.runs.models.values())
    (shared,) = weak_teachers(Analysis(read_scores(results, analysis.results.experiment), draws=10), runs)
    assert shared.startswith(
        "The teacher `all` in en (2.8 points) is below the student `baseline` on test: students that"
    )
    assert "Train it longer (`teachers.all.updates`), give it more labelled sentences, or fine-tune" in shared
    assert shared.endswith("(`teachers.all.mode: finetune`).")
    tuned = settings(
        teachers={"all": {"mode": "finetune"}}, distill={"objectives": OBJECTIVES, "teachers": ["own", "all"]}
    )
    (shared,) = weak_teachers(Analysis(read_scores(results, tuned), draws=10), runs)
    assert "finetune" not in shared and "Train it longer (`teachers.all.updates`) or give it more" in shared


def test_the_settings_of_objectives_say_who_teaches_where_there_is_a_choice():
    of = settings(teachers={"all": {}}, distill={"objectives": OBJECTIVES, "teachers": {"all": 2, "own": 1}})
    table = objective_table(of)
    assert [head.text for head in table.columns][:2] == ["loss", "teachers"]
    assert {head.text: cells[1].text for head, cells in table.rows} == {"baseline": "–", "posterior": "own + 2 all"}
    assert "teachers" not in [head.text for head in objective_table(settings()).columns]


def test_columns_whose_text_was_seen_are_marked(tmp_path):
    unseen = {
        "de": {"test": "de.conllu", "format": "conllu", "unlabelled": "plain.conllu"},
        "ar": {"test": "ar.conllu", "format": "conllu", "out_of_domain": True, "unlabelled": "plain.conllu"},
        "xx": {"test": "xx.conllu", "format": "conllu"},
    }
    analysis = read(tmp_path, ["own", "all"], zero_shot=unseen)
    marks = {column.key: column.mark for column in tables.zero_shot(analysis).columns}
    assert (marks["de"], marks["ar"], marks["xx"]) == (
        "not zero-shot in text",
        "out of domain; not zero-shot in text",
        "",
    )
    (note,) = (text for text in notes(analysis, [], {}) if "in text" in text)
    assert note.startswith("Not zero-shot in text: de, ar. Students may have learned from unlabelled text of them")
    assert {column.mark for column in tables.in_language(analysis).columns if not column.average} == {""}


def test_a_model_card_says_whose_text_was_seen_and_who_taught():
    config = {
        "task": "pos",
        "labels": ["NOUN"],
        "decoder": "crf",
        "objective": "posterior",
        "languages": list(TRAINED),
        "zero_shot_text": ["de", "a|r"],
        "seed": 0,
        "distill": {"objectives": ["posterior"], "teachers": {"all": 2, "own": 1}},
    }
    card = model_card(config)
    assert "Not zero-shot in text: de, a\\|r." in card and "teachers own + 2 all" in card
    assert "Not zero-shot" not in model_card({**config, "zero_shot_text": []})


def sentence_of_card(distill, **options) -> str:
    config = {"task": "pos", "labels": ["NOUN"], "decoder": "crf", "objective": "posterior", "seed": 0}
    card = model_card({**config, "languages": list(TRAINED), "distill": distill}, **options)
    return " ".join(next(line for line in card.splitlines() if line.startswith("It was ")).split())


def test_a_model_card_says_whether_teachers_were_of_one_language_or_of_several():
    own = {"objectives": ["posterior"]}
    assert sentence_of_card(own).startswith("It was distilled from one teacher per language (objective `posterior`")
    shared = {**own, "teachers": ["all"]}
    assert "from the teacher `all` of 3 languages (objective" in sentence_of_card(shared, taught={"all": 3})
    assert "from the teacher `all` of several languages (objective" in sentence_of_card(shared)
    both = sentence_of_card({**own, "teachers": ["all", "north", "own"]}, taught={"all": 3, "north": 2})
    assert (
        "from one teacher per language, the teacher `all` of 3 languages and the teacher `north` of 2 languages, whose "
        "distributions are averaged (objective" in both
    )
    assert sentence_of_card(None).startswith("It was trained without teachers")


def test_the_cards_of_a_report_count_the_languages_of_a_teacher(tmp_path):
    results, _ = build(tmp_path, WRONG | OF_ALL)
    distill = {"objectives": OBJECTIVES, "teachers": ["all"]}
    config = {"task": "pos", "labels": ["NOUN"], "decoder": "crf", "objective": "posterior", "seed": 0}
    model = {**config, "languages": list(TRAINED), "distill": {**distill, "objectives": ["posterior"]}}
    write_json(results / "students" / "posterior" / "seed-0" / "model" / "config.json", model)
    write_cards(results, settings(teachers={"all": {}}, distill=distill), tmp_path / "cards", encoder=None)
    assert "the teacher `all` of 3 languages" in (tmp_path / "cards" / "posterior-seed-0.md").read_text("utf-8")
