"""Scores beside the main ones: without types that a test set lacks, and without test sentences seen in training."""

from __future__ import annotations

import pytest
from synthetic_results import SENTENCES, WORDS, WRONG, build, settings

from tagdistill.artifacts.files import read_json, write_json
from tagdistill.data.span_counts import f1
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.scores import read_scores
from tagdistill.evaluation.variants import variants
from tagdistill.reporting.data_figure import data_figure
from tagdistill.reporting.data_sections import character_table, label_table, repeat_table, variant_table
from tagdistill.reporting.facts import read_data_reports, read_repeats
from tagdistill.reporting.figures import svg
from tagdistill.reporting.report import build_report

LABELS = ["O", *(f"{p}-{t}" for t in ("PER", "LOC", "MISC") for p in "BIES")]
GOLD = [["S-PER", "O", "S-LOC"], ["O", "O", "S-PER"]]


def test_types_that_the_gold_labels_lack_are_errors_and_left_out_beside():
    found = score("ner", GOLD, [["S-PER", "S-MISC", "S-LOC"], ["S-MISC", "O", "O"]], LABELS)
    assert (found["precision"], found["recall"]) == (50.0, pytest.approx(200 / 3, abs=1e-5))
    known = found["known_types"]
    assert (known["precision"], known["recall"], known["f1"]) == (100.0, found["recall"], 80.0)
    assert (known["types"], known["predicted"], known["left_out"]) == (["LOC", "PER"], 4, 2)


def test_a_span_of_a_wrong_type_that_the_gold_labels_have_stays_an_error():
    found = score("ner", GOLD, [["S-LOC", "O", "S-MISC"], ["O", "O", "S-PER"]], LABELS)
    assert found["known_types"]["precision"] == 50.0 and found["known_types"]["left_out"] == 1


@pytest.mark.parametrize("predicted", [[["S-PER", "O", "S-LOC"], ["O", "O", "O"]], [["O"] * 3] * 2])
def test_where_every_predicted_type_is_known_there_is_no_second_score(predicted):
    assert "known_types" not in score("ner", GOLD, predicted, LABELS)


def test_nor_for_a_test_set_without_any_span_or_for_tags():
    assert "known_types" not in score("ner", [["O"]], [["S-PER"]], LABELS)
    assert "known_types" not in score("pos", [["NOUN"]], [["VERB"]], ["NOUN", "VERB"])


@pytest.fixture
def made(tmp_path):
    results, _ = build(tmp_path)
    return results


def analysis_of(results):
    return Analysis(read_scores(results, settings()), draws=50)


def test_repeated_test_sentences_are_left_out(made):
    analysis = analysis_of(made)
    every = [v for v in variants(analysis, read_repeats(made, settings())) if v.kind == "unrepeated"]
    assert [(v.role, v.language) for v in every if v.system == "posterior"] == [("trained", "en"), ("zero_shot", "de")]
    assert {v.system for v in every if v.language == "de"} == {
        "Best single teacher, chosen on test",
        "Mean of the teachers",
        "baseline",
        "posterior",
    }
    found = [v for v in every if v.language == "en"]
    assert {v.system for v in found} == {"Teachers", "baseline", "posterior"}
    posterior = next(v for v in found if v.system == "posterior")
    by_hand = [f1(analysis.results.counts["en"][f"students/posterior/seed-{seed}"][2:].sum(axis=0)) for seed in (0, 1)]
    assert posterior.other == pytest.approx(sum(by_hand) / 2) and posterior.main == pytest.approx(92.4)
    assert (posterior.affected, posterior.of) == (2, SENTENCES)


def test_a_report_of_another_test_set_changes_nothing(made):
    assert variants(analysis_of(made), {"en": {"places": [SENTENCES]}}) == []
    assert variants(analysis_of(made), {"en": {"places": list(range(SENTENCES))}}) == []
    assert variants(analysis_of(made), {}) == variants(analysis_of(made), {"en": {"places": []}}) == []


def test_where_no_span_is_left_beside_repeated_sentences_there_is_no_score_of_the_rest(made):
    analysis, repeats = analysis_of(made), {"en": {"places": list(range(10))}}
    assert variants(analysis, repeats)
    for rows in analysis.results.counts["en"].values():
        rows[10:, [0, 2]] = 0
    assert variants(analysis, repeats) == []


def test_known_types_are_means_over_seeds(made):
    for seed, value in ((0, 90.0), (1, 94.0)):
        path = made / f"metrics/students/posterior/seed-{seed}/de.json"
        known = {"f1": value, "left_out": 10 + seed, "predicted": 100}
        write_json(path, read_json(path) | {"known_types": known})
    found = [v for v in variants(analysis_of(made), {}) if v.kind == "known_types"]
    assert [(v.system, v.role, v.language, v.other, v.affected, v.of) for v in found] == [
        ("posterior", "zero_shot", "de", 92.0, 10.5, 100)
    ]
    wrong = [WRONG[f"students/posterior/seed-{seed}"]["de"] for seed in (0, 1)]
    assert found[0].main == pytest.approx(100 - sum(wrong) / 2 / 10)
    table = variant_table(found, "known_types")
    assert table.columns[0].note == "without 10 spans" and table.rows[0][1][0].note == f"above: {found[0].main:.2f}"


def test_a_seed_that_predicts_no_unknown_type_counts_with_its_main_score(made):
    path = made / "metrics/students/posterior/seed-0/de.json"
    write_json(path, read_json(path) | {"known_types": {"f1": 90.0, "left_out": 10, "predicted": 100}})
    other = made / "metrics/students/posterior/seed-1/de.json"
    write_json(other, {key: value for key, value in read_json(other).items() if key != "known_types"})
    analysis = analysis_of(made)
    analysis.results.counts["de"]["students/posterior/seed-1"][0, 1] += 100  # spans that are predicted and not gold
    (found,) = (v for v in variants(analysis, {}) if v.kind == "known_types")
    scores = [analysis.score(f"students/posterior/seed-{seed}", "de") for seed in (0, 1)]
    assert found.main == pytest.approx(sum(scores) / 2) and found.other == pytest.approx((90 + scores[1]) / 2)
    assert (found.affected, found.of) == (5, round((100 + SENTENCES * WORDS + 100) / 2))


SPANS = ("students/posterior/seed-0", "students/posterior/seed-1")
FREE = {"unconstrained": [["B-PER", "I-PER", "O"], ["O", "S-LOC", "O"]]}
BOUND = [["B-PER", "E-PER", "O"], ["O", "S-LOC", "O"]]
TRUE = [["B-PER", "E-PER", "O"], ["O", "S-LOC", "S-PER"]]


def of_spans(results, decode="constrained"):
    """Give two students scores of spans in one language, and return the analysis of these alone."""
    beside = FREE if decode == "constrained" else {"constrained": BOUND}
    predicted = BOUND if decode == "constrained" else FREE["unconstrained"]
    for name in SPANS:
        path = results / "metrics" / name / "en.json"
        write_json(path, read_json(path) | score("ner", TRUE, predicted, LABELS, beside=beside) | {"decode": decode})
    experiment = settings(
        task="ner",
        labels=["PER", "LOC", "MISC"],
        languages={"en": {"train": "train.conllu", "test": "test.conllu", "format": "conll"}},
        zero_shot={},
        distill={"objectives": ["posterior"]},
        evaluate={"decode": decode, "teachers": "own"},
    )
    for path in (results / "metrics").rglob("*.json"):
        if path.parent.relative_to(results / "metrics").as_posix() not in SPANS:
            path.unlink()
    return experiment


def test_the_other_decoding_and_the_lenient_reading_stand_beside_the_main_scores(made):
    experiment = of_spans(made)
    found = variants(Analysis(read_scores(made, experiment), draws=50), {})
    assert [(v.kind, v.system, v.language, round(v.main, 3), round(v.other, 3)) for v in found] == [
        ("unconstrained", "posterior", "en", 80.0, 50.0),
        ("conlleval", "posterior", "en", 80.0, 80.0),
    ]
    assert [(v.affected, v.of) for v in found] == [(1.0, 2)] * 2  # one of two sentences is ill-formed
    table = variant_table(found, "unconstrained")
    assert table.columns[0].note == "ill-formed: 1 of 2 sentences" and table.rows[0][1][0].note == "above: 80.00"


@pytest.mark.parametrize("decode", ["constrained", "unconstrained"])
def test_the_report_names_each_decoding_and_reading(decode, made):
    build_report(made, of_spans(made, decode), draws=50)
    page = (made / "report" / "index.html").read_text(encoding="utf-8")
    text = " ".join(page.split())
    assert f"Scores are F1 in per cent, of {decode} decoding and whole spans only (strict)." in text
    assert f"The scores above are of {decode} decoding" in text and "Unconstrained, lenient:" in text
    assert ("Unconstrained, strict:" in text, "Constrained, strict:" in text) == (
        decode == "constrained",
        decode != "constrained",
    )
    rows = (made / "tables" / "scores.tsv").read_text(encoding="utf-8")
    other = "unconstrained" if decode == "constrained" else "constrained"
    assert f"\t{other}:f1\t" in rows and "\tconlleval:f1\t" in rows


def test_tags_have_neither(made):
    assert not {v.kind for v in variants(analysis_of(made), {})} & {"unconstrained", "constrained", "conlleval"}


def test_a_split_without_one_span_has_no_tags_for_types():
    facts = {
        "en": {"splits": {"test": {"labels": {"spans": {"LOC": 3}, "sentences_without_spans": 1}}}},
        "no": {"splits": {"test": {"labels": {"spans": {}, "tokens": {"O": 9}, "sentences_without_spans": 2}}}},
    }
    table = label_table(facts)
    assert [head.text for head in table.columns] == ["LOC", "sentences without spans"]
    assert [[field.text for field in fields] for _, fields in table.rows] == [["3", "1"], ["0", "2"]]


def test_the_data_of_the_page(made):
    reports = read_data_reports(made, settings())
    labels = label_table(reports)
    assert [head.text for head in labels.columns] == ["NOUN", "VERB"]
    assert (labels.rows[0][0].text, labels.rows[0][1][0].text) == ("en train", "900")
    assert [head.text for head, _ in character_table(reports).rows] == ["fr train", "fr test"]
    drawn = svg(data_figure(reports, read_repeats(made, settings())), "data")
    assert "over 20" in drawn and "11 to 20" in drawn and "2 of 100" in drawn
    repeats = repeat_table(read_repeats(made, settings()))
    assert [(head.text, [cell.text for cell in cells]) for head, cells in repeats.rows] == [
        ("en", ["100", "1", "1", "0"]),
        ("de", ["100", "0", "0", "1"]),
    ]
    assert repeat_table({}) is None
    assert label_table({}) is None and character_table({}) is None and data_figure({}, {}) is None
    assert variant_table([], "unrepeated") is None
