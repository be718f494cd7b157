"""Tables against numbers worked out by hand from the wrong words of `synthetic_results.WRONG`."""

import json
import math
from dataclasses import replace
from statistics import fmean, stdev

import pandas as pd
import pytest
from synthetic_results import TRAINED, WRONG, build, settings

from tagdistill.artifacts.files import read_json, write_json
from tagdistill.errors import DataError, MismatchError
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.comparison import Pair, read_side
from tagdistill.evaluation.scores import metrics_path, read_scores
from tagdistill.evaluation.table_names import TABLES
from tagdistill.evaluation.tables import (
    gap_frame,
    in_language,
    matrix_frame,
    significance_frame,
    write_tables,
    zero_shot,
)
from tagdistill.experiment.runs import Runs
from tagdistill.reporting import figures, headline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("toy"))[0]


@pytest.fixture(scope="module")
def analysis(folder):
    return Analysis(read_scores(folder, settings()), draws=300)


def accuracy(model: str, language: str) -> float:
    return 100 - WRONG[model][language] / 10


def over_seeds(objective: str, language: str) -> list[float]:
    return [accuracy(f"students/{objective}/seed-{seed}", language) for seed in (0, 1)]


def cell(grid, row: str, column: str):
    names = [c.key for c in grid.columns]
    return next(r for r in grid.rows if r.title == row).cells[names.index(column)]


def test_the_settings_say_which_models_there_are():
    experiment = settings(distill={"objectives": ["softmax", "token", "baseline", "structural"]}, seeds=[3])
    assert [m.name for m in Runs(experiment).students][:2] == ["students/softmax/seed-3", "students/token/seed-3"]
    assert [m.decoder for m in Runs(experiment).students] == ["softmax", "softmax", "crf", "crf"]
    assert {m.decoder for m in Runs(experiment).teachers} == {"crf", "softmax"}
    assert not Runs(settings(distill={"objectives": ["baseline", "softmax"]})).teachers
    assert [(t.language, t.role) for t in Runs(experiment).test_languages][2:4] == [
        ("nl", "trained"),
        ("de", "zero_shot"),
    ]


def test_a_language_without_a_test_set_is_no_column():
    languages = {"en": {"train": "a", "test": "b", "format": "conllu"}, "fr": {"train": "a", "format": "conllu"}}
    assert [t.language for t in Runs(settings(languages=languages, zero_shot={})).test_languages] == ["en"]


def test_the_tidy_table_holds_every_score(analysis):
    frame = analysis.results.frame
    assert len(analysis.results.main) == 7 * 6 and not analysis.results.missing
    row = analysis.results.main.query("model == 'students/posterior/seed-1' and language == 'ar'").iloc[0]
    assert row["value"] == pytest.approx(51.6) and row["support"] == 1000 and row["score"] == "accuracy"
    assert bool(row["out_of_domain"]) and row["role"] == "zero_shot"
    assert set(frame["label"]) > {"", "NOUN"}
    nouns = frame.query("label == 'NOUN' and model == 'students/posterior/seed-1' and language == 'ar'").iloc[0]
    assert 0 < nouns["support"] < 1000 and not nouns["main"]


def test_rows_of_a_further_metric_have_its_name_and_are_not_the_main_score(tmp_path):
    results, _ = build(tmp_path)
    path = results / "metrics/students/posterior/seed-1/ar.json"
    values = {"zeta": 4.0, "f1": 3.0, "recall": 2.0, "alpha": 5.0, "precision": 1.0, "support": 7}
    further = {"spans": {"score": "f1", **values, "per_label": {"LOC": {"f1": 9.0, "support": 2}}}}
    write_json(path, read_json(path) | {"further": further})
    frame = read_scores(results, settings()).frame
    rows = frame[frame["score"].str.startswith("spans:")]
    assert set(rows["model"]) == {"students/posterior/seed-1"} and set(rows["language"]) == {"ar"}
    order = ["spans:precision", "spans:recall", "spans:f1", "spans:alpha", "spans:zeta"]
    assert list(zip(rows["label"], rows["score"], rows["value"], rows["support"], strict=True)) == [
        *(("", name, values[name.partition(":")[2]], 7) for name in order),
        ("LOC", "spans:f1", 9.0, 2),
    ]
    assert not rows["main"].any()


def test_in_language_table(analysis):
    grid = in_language(analysis)
    assert [r.title for r in grid.rows] == ["Teachers", "baseline", "posterior"]
    assert [c.key for c in grid.columns] == [*TRAINED, "in_language"]
    assert [c.average for c in grid.columns] == [False, False, False, True]
    assert [r.kind for r in grid.rows] == ["teacher", "student", "student"]
    for objective in ("baseline", "posterior"):
        for language in TRAINED:
            value, seeds = cell(grid, objective, language).value, over_seeds(objective, language)
            assert (value.mean, value.sd, value.runs) == pytest.approx((fmean(seeds), stdev(seeds), 2))
        averages = [fmean(accuracy(f"students/{objective}/seed-{s}", x) for x in TRAINED) for s in (0, 1)]
        value = cell(grid, objective, "in_language").value
        assert (value.mean, value.sd) == pytest.approx((fmean(averages), stdev(averages)))
    assert cell(grid, "Teachers", "en").text == "95.00"
    assert cell(grid, "Teachers", "in_language").value.mean == pytest.approx((95 + 94 + 90) / 3)
    assert cell(grid, "posterior", "en").best and not cell(grid, "baseline", "en").best
    assert not cell(grid, "Teachers", "en").best


def test_zero_shot_averages_leave_out_and_set_apart(analysis):
    grid = zero_shot(analysis)
    assert [c.key for c in grid.columns] == ["de", "ar", "xx", "zero_shot", "zero_shot_out_of_domain"]
    marks = {c.key: c.mark for c in grid.columns}
    assert marks["xx"] == "left out of averages: tags made by a machine" and marks["ar"] == "out of domain"
    assert cell(grid, "posterior", "zero_shot").value.mean == pytest.approx(fmean(over_seeds("posterior", "de")))
    assert cell(grid, "posterior", "zero_shot_out_of_domain").value.mean == pytest.approx(
        fmean(over_seeds("posterior", "ar"))
    )


def test_zero_shot_teachers_are_an_oracle_and_a_mean(analysis):
    grid = zero_shot(analysis)
    oracle, mean = grid.rows[0].title, grid.rows[1].title
    assert [system.key for system in analysis.abroad("crf")] == ["oracle (crf)", "mean (crf)"]
    assert [row.kind for row in grid.rows] == ["oracle", "mean", "student", "student"]
    assert oracle == "Best single teacher, chosen on test"
    assert {c: cell(grid, oracle, c).note for c in ("de", "ar", "xx")} == {"de": "nl", "ar": "fr", "xx": "en"}
    assert cell(grid, oracle, "de").value.mean == pytest.approx(70.0)
    assert cell(grid, mean, "de").text == "65.00"  # no spread: different teachers are no seeds


def test_teacher_matrix(analysis):
    frame = matrix_frame(analysis).set_index("teacher")
    assert frame.loc["fr", "nl"] == pytest.approx(70.0) and frame.loc["nl", "de"] == pytest.approx(70.0)
    assert list(frame.columns) == ["decoder", *TRAINED, "de", "ar", "xx"]


def test_gap_closed_only_where_the_teachers_are_clearly_better(analysis):
    frame = gap_frame(analysis).set_index("language")
    for language in ("en", "fr"):
        baseline, ours = fmean(over_seeds("baseline", language)), fmean(over_seeds("posterior", language))
        teacher = accuracy(f"teachers/{language}/crf/seed-0", language)
        row = frame.loc[language]
        assert row["gap"] == pytest.approx(teacher - baseline)
        assert row["closed"] == pytest.approx(100 * (ours - baseline) / (teacher - baseline))
        assert row["closed_low"] < row["closed"] < row["closed_high"] and row["verdict"] == ""
    assert frame.loc["nl", "verdict"] == "no gap to close" and math.isnan(frame.loc["nl", "closed"])
    average = {
        "teachers": (95 + 94 + 90) / 3,
        "baseline": fmean(fmean(over_seeds("baseline", x)) for x in TRAINED),
        "student": fmean(fmean(over_seeds("posterior", x)) for x in TRAINED),
    }
    assert frame.loc["", list(average)].to_dict() == pytest.approx(average)
    assert frame.loc[""]["closed"] == pytest.approx(
        100 * (average["student"] - average["baseline"]) / (average["teachers"] - average["baseline"])
    )


def test_a_clear_gap_whose_share_has_no_interval_is_not_denied(analysis):
    gap = next(gap for gap in analysis.gaps if not gap.language)
    assert gap.closed and gap.gap.above_zero
    unknown = replace(gap, objective="top_k", closed=None)
    assert unknown.verdict == "share not determined"
    clear = headline._gap_finding([gap])
    assert clear.endswith("to close.") and headline._gap_finding([gap, unknown]).startswith(clear)
    assert "too much to tell which share of it top_k closed" in headline._gap_finding([unknown, gap])
    flat = replace(unknown, gap=replace(gap.gap, low=-1.0))
    assert flat.verdict == "no gap to close" and "not clearly better" in headline._gap_finding([flat])


def test_a_clear_gap_is_told_before_a_wider_one_that_is_not_clear(analysis, monkeypatch):
    gap = next(gap for gap in analysis.gaps if not gap.language)
    clear = replace(gap, closed=None)
    wider = replace(clear, gap=replace(gap.gap, value=gap.gap.value + 9, low=-1.0))
    for gaps in ([clear, wider], [wider, clear]):
        monkeypatch.setattr(analysis, "gaps", gaps)
        (number,) = headline._gap_number(analysis)
        assert number.title == "Share not determined" and number.text == headline.difference(gap.gap)
        assert "The seeds differ too much." in figures.svg(figures.gap_closed(analysis), "gap_closed")
    monkeypatch.setattr(analysis, "gaps", [wider])
    assert headline._gap_number(analysis)[0].title == "No gap to close"


def test_the_seeds_of_a_comparison_are_those_that_all_languages_have(tmp_path):
    wrong = {**WRONG, "students/posterior/seed-2": WRONG["students/posterior/seed-1"]}
    for model, lacking in (("students/posterior/seed-0", "fr"), ("students/posterior/seed-1", "en")):
        wrong[model] = {x: n for x, n in wrong[model].items() if x != lacking}
    results, _ = build(tmp_path, wrong)
    one = Analysis(read_scores(results, settings(seeds=[0, 1, 2])), draws=50)
    found = next(c for c in one.comparisons if (c.system, c.group) == ("posterior", "in_language"))
    assert (found.runs, found.reference_runs) == (1, 2) and found.verdict == "one seed: no verdict"


def test_the_gap_is_that_of_the_teachers_that_taught(tmp_path):
    """A second seed of a teacher shows the spread; students learned from the first, which is taken as given."""
    wrong = {**WRONG, "teachers/en/crf/seed-4": {"en": 20}, "teachers/en/crf/seed-7": {"en": 90}}
    del wrong["teachers/en/crf/seed-0"]
    languages = settings().model_dump(mode="json", exclude_none=True)["languages"]
    languages["en"]["teacher"] = {"seeds": [7, 4]}
    results, _ = build(tmp_path, wrong)
    analysis = Analysis(read_scores(results, settings(languages=languages)), draws=200)
    gap = next(gap for gap in analysis.gaps if gap.language == "en")
    assert gap.teachers == pytest.approx(91.0) and gap.gap.value == pytest.approx(91.0 - 89.8)
    assert cell(in_language(analysis), "Teachers", "en").value.mean == pytest.approx((98.0 + 91.0) / 2)
    teachers = next(c for c in analysis.comparisons if c.system == "teachers (crf)")
    assert teachers.verdict == "one seed: no verdict" and gap.gap.covers == "sentences and seeds"


def test_comparisons_with_the_reference(analysis):
    found = {(c.system, c.group): c for c in analysis.comparisons}
    assert set(found) == {
        ("teachers (crf)", "in_language"),
        ("posterior", "in_language"),
        ("posterior", "zero_shot"),
        ("posterior", "zero_shot_out_of_domain"),
    }
    ours = found["posterior", "in_language"]
    expected = fmean(fmean(over_seeds("posterior", x)) - fmean(over_seeds("baseline", x)) for x in TRAINED)
    assert ours.difference.value == pytest.approx(expected)
    assert ours.verdict == "better" and (ours.languages, ours.up, ours.runs, ours.reference_runs) == (3, 3, 2, 2)
    teachers = found["teachers (crf)", "in_language"]
    assert (teachers.runs, teachers.reference_runs) == (1, 2)
    assert found["posterior", "zero_shot"].languages == 1
    assert ours.reference == "baseline"


def test_a_test_set_of_several_languages_is_drawn_once(tmp_path):
    results, _ = build(tmp_path)
    for path in (results / "metrics").rglob("*.json"):
        if path.stem in TRAINED:
            write_json(path, {**read_json(path.with_name("en.json")), "language": path.stem})
    analysis = Analysis(read_scores(results, settings()), draws=200)
    write_tables(analysis, results / "tables")
    side = read_side(results)
    for boot, prefix in ((analysis.bootstrap, ""), (Pair(side, side, draws=200).bootstrap, "0:")):
        name = f"{prefix}students/posterior/seed-0"
        assert (boot.score([name], "fr") == boot.score([name], "en")).all()
        assert boot.macro({x: [name] for x in TRAINED}) == pytest.approx(boot.score([name], "en"))
        assert not (boot.score([name], "de") == boot.score([name], "en")).all()


def test_a_language_is_up_where_the_average_rose_and_compared_where_the_reference_has_it(tmp_path):
    wrong = {model: dict(languages) for model, languages in WRONG.items()}
    for seed in (0, 1):
        wrong[f"students/posterior/seed-{seed}"]["en"] = wrong[f"students/baseline/seed-{seed}"]["en"]
        del wrong[f"students/baseline/seed-{seed}"]["nl"]
    results, _ = build(tmp_path, wrong)
    path = results / "metrics/students/posterior/seed-0/en.json"
    record = read_json(path)
    del record["corpus_sha256"]
    write_json(path, record)
    analysis = Analysis(read_scores(results, settings()), draws=50)
    ours = next(c for c in analysis.comparisons if (c.system, c.group) == ("posterior", "in_language"))
    assert (ours.languages, ours.up, ours.left_out) == (2, 1, ("nl",))
    rows = significance_frame(analysis).query("group == 'in_language'").set_index("system")
    assert rows.loc["posterior", "left_out"] == "nl" and rows.loc["posterior", "draws"] == 50
    frame = analysis.results.frame.query("main and model == 'students/posterior/seed-0'").set_index("language")
    assert frame["corpus_sha256"]["en"] == "" and frame["corpus_sha256"]["fr"]


def test_softmax_students_are_compared_with_softmax(tmp_path):
    wrong = {
        "students/softmax/seed-0": dict.fromkeys(TRAINED, 100),
        "students/token/seed-0": dict.fromkeys(TRAINED, 80),
        "students/baseline/seed-0": dict.fromkeys(TRAINED, 50),
        **{f"teachers/{x}/softmax/seed-0": {x: 60} for x in TRAINED},
    }
    results, _ = build(tmp_path, wrong)
    experiment = settings(distill={"objectives": ["softmax", "token", "baseline"]}, seeds=[0], zero_shot={})
    analysis = Analysis(read_scores(results, experiment), draws=200)
    gap = gap_frame(analysis).query("language == 'en'").iloc[0]
    assert (gap["objective"], gap["reference"], gap["gap"], gap["closed"]) == pytest.approx(
        ("token", "softmax", 4.0, 50.0), abs=1e-9
    )
    assert {(c.system, c.reference) for c in analysis.comparisons} == {
        ("teachers (softmax)", "softmax"),
        ("token", "softmax"),
    }


def test_objectives_with_settings_of_their_own_stand_in_one_table_with_the_reference_of_their_loss(tmp_path):
    names = ("plain", "posterior", "posterior-T2", "plain-again")
    wrong = {f"students/{name}/seed-0": dict.fromkeys(TRAINED, 100 - n) for n, name in enumerate(names)}
    wrong |= {f"teachers/{x}/crf/seed-0": {x: 60} for x in TRAINED}
    results, _ = build(tmp_path, wrong)
    losses = {"plain": "baseline", "posterior-T2": "posterior", "plain-again": "baseline"}
    listed = [{"name": name, "loss": losses[name]} if name in losses else name for name in names]
    experiment = settings(distill={"objectives": listed}, seeds=[0], zero_shot={})
    analysis = Analysis(read_scores(results, experiment), draws=200)
    assert [row.title for row in in_language(analysis).rows] == ["Teachers", *names]
    assert {(c.system, c.reference) for c in analysis.comparisons} == {
        (system, "plain") for system in ("teachers (crf)", "posterior", "posterior-T2", "plain-again")
    }
    assert {(gap.objective, gap.reference) for gap in analysis.gaps} == {
        ("posterior", "plain"),
        ("posterior-T2", "plain"),
    }


def test_missing_pieces_are_listed_and_never_averaged_over(tmp_path):
    wrong = {model: dict(languages) for model, languages in WRONG.items()}
    del wrong["students/posterior/seed-1"], wrong["students/posterior/seed-0"]["fr"], wrong["teachers/nl/crf/seed-0"]
    results, _ = build(tmp_path, wrong)
    analysis = Analysis(read_scores(results, settings()), draws=100)
    grid = in_language(analysis)
    assert cell(grid, "posterior", "fr").text == "–" and cell(grid, "posterior", "en").text == "92.50"
    assert cell(grid, "posterior", "in_language").value is None
    assert cell(grid, "baseline", "in_language").value is not None
    assert "metrics/students/posterior/seed-0/fr.json" in analysis.results.missing
    assert "metrics/teachers/nl/crf/seed-0/nl.json" in analysis.results.missing
    assert not any("teachers/en" in file for file in analysis.results.missing)
    ours = next(c for c in analysis.comparisons if (c.system, c.group) == ("posterior", "in_language"))
    assert (ours.languages, ours.left_out) == (2, ("fr",))
    average = gap_frame(analysis).query("language == ''").iloc[0]
    assert average["languages"] == 1  # en alone has all three


def test_nothing_at_all_still_makes_tables(tmp_path):
    paths = write_tables(Analysis(read_scores(tmp_path / "none", settings())), tmp_path / "tables")
    assert [p.stem for p in paths] == list(TABLES)
    assert len(pd.read_csv(tmp_path / "tables" / "missing.tsv")) == 2 * 2 * 6 + 3
    assert pd.read_csv(tmp_path / "tables" / "scores.tsv", sep="\t").empty


def test_stale_files_are_not_read(folder, analysis):
    less = settings(languages={"en": {"train": "a", "test": "b", "format": "conllu"}}, zero_shot={})
    results = read_scores(folder, less)
    assert set(results.frame["language"]) == {"en"} and set(results.frame["teacher"]) == {"", "en"}
    alone = Analysis(results, draws=300)
    here = {c.system: c for c in alone.comparisons}["posterior"].difference
    gap = {g.language: g for g in analysis.gaps}["en"]
    assert here.value == pytest.approx(gap.student - gap.baseline)


def test_own_leaves_teachers_abroad_out(folder):
    results = read_scores(folder, settings(evaluate={"teachers": "own"}))
    rows = results.main[results.main["kind"] == "teacher"]
    assert len(rows) == 3 and (rows["teacher"] == rows["language"]).all()


def test_metrics_of_another_model_are_refused(tmp_path):
    results, _ = build(tmp_path)
    model = Runs(settings()).students[0]
    path = metrics_path(results, model, "en")
    record = json.loads(path.read_text())
    write_json(path, {**record, "model": "students/posterior/seed-0"})
    with pytest.raises(MismatchError, match=r"en\.json: model is 'students/posterior/seed-0'"):
        read_scores(results, settings())
    path.write_text("{")
    with pytest.raises(DataError, match=r"en\.json"):
        read_scores(results, settings())


def test_tables_are_the_same_bytes_every_time(tmp_path, folder):
    for name in ("a", "b"):
        write_tables(Analysis(read_scores(folder, settings()), draws=100), tmp_path / name)
    for table in TABLES:
        assert (tmp_path / "a" / f"{table}.tsv").read_bytes() == (tmp_path / "b" / f"{table}.tsv").read_bytes()
    text = (tmp_path / "a" / "in_language.tsv").read_text()
    assert text.splitlines()[0] == "system\ten\tfr\tnl\taverage"
    assert text.splitlines()[2].startswith("baseline\t89.80 ± 0.28\t")


def test_a_teacher_that_ties_with_the_best_student_is_not_bold(tmp_path):
    results, _ = build(tmp_path, {**WRONG, "teachers/en/crf/seed-0": {"en": 76}})
    grid = in_language(Analysis(read_scores(results, settings()), draws=50))
    assert cell(grid, "Teachers", "en").text == "92.40" and not cell(grid, "Teachers", "en").best
    assert cell(grid, "posterior", "en").best


def test_the_columns_of_every_table(analysis, tmp_path):
    interval = "difference low high covers p p_holm verdict"
    bounds = "gap gap_low gap_high closed closed_low closed_high covers verdict"
    expected = {
        "in_language": "system en fr nl average",
        "zero_shot": "system de ar xx average average, out of domain",
        "teachers": "teacher decoder en fr nl de ar xx",
        "gap": f"objective reference decoder taught_by language languages teachers baseline student {bounds}",
        "significance": f"system reference group {interval} languages up runs reference_runs left_out draws",
        "variants": "kind system role language main other affected of",
        "missing": "file",
        "scores": "model kind objective teacher decoder seed language role out_of_domain leave_out label score value "
        "support main sentences words corpus_sha256",
    }
    files = {path.stem: path for path in write_tables(analysis, tmp_path)}
    heads = {name: path.read_text(encoding="utf-8").splitlines()[0] for name, path in files.items()}
    assert {name: head.replace("\t", " ") for name, head in heads.items()} == expected
    gap = pd.read_csv(files["gap"], sep="\t", keep_default_na=False).iloc[0]
    assert (gap["objective"], gap["reference"], gap["decoder"], gap["languages"]) == ("posterior", "baseline", "crf", 3)
    rows = pd.read_csv(files["significance"], sep="\t", keep_default_na=False).set_index(["system", "group"])
    row = rows.loc["posterior", "in_language"]
    assert (row["languages"], row["up"], row["runs"], row["reference_runs"], row["draws"]) == (3, 3, 2, 2, 300)
    assert rows.loc["teachers (crf)", "in_language"]["runs"] == 1
