"""Two experiments beside each other: differences only where both were scored on the same test sentences."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats
from synthetic_results import TRAINED, WRONG, build, settings, shorten

from tagdistill.artifacts.files import write_json
from tagdistill.errors import DataError, MismatchError, TagdistillError
from tagdistill.evaluation.analysis import Analysis
from tagdistill.evaluation.comparison import Pair, read_side
from tagdistill.evaluation.scores import read_scores
from tagdistill.evaluation.tables import write_tables
from tagdistill.reporting.compare import compare
from tagdistill.reporting.report import build_report

DRAWS = 200


def experiment(root: Path, name: str, wrong: dict[str, dict[str, int]] = WRONG) -> Path:
    results, _ = build(root / name, wrong)
    build_report(results, settings(name=name), draws=DRAWS)
    folder = results.with_name(name)
    results.rename(folder)
    for model, updates in (("students/baseline/seed-0", 200), ("students/posterior/seed-0", 200)):
        training = {"updates": updates if name == "old" else 300, "hidden": 64}
        write_json(folder / model / "model/config.json", {"training": training, "corpora": {"en": name * 9}})
    return folder


def scored(root: Path, name: str, wrong: dict[str, dict[str, int]] = WRONG, **changes) -> Path:
    """Return an experiment's folder with its tables alone, without a report and models."""
    results, _ = build(root / name, wrong)
    write_tables(Analysis(read_scores(results, settings(name=name, **changes))), results / "tables")
    return results.rename(results.with_name(name))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return experiment(tmp_path_factory.mktemp("a"), "old")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posterior makes 30 errors less in English and 40 more in French; the test set of German is another."""
    wrong = {model: dict(languages) for model, languages in WRONG.items()}
    for seed in (0, 1):
        wrong[f"students/posterior/seed-{seed}"]["en"] -= 30
        wrong[f"students/posterior/seed-{seed}"]["fr"] += 40
    folder = experiment(tmp_path_factory.mktemp("b"), "new", wrong)
    for path in (folder / "metrics").rglob("de.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, record | {"corpus_sha256": "another"})
    scores = folder / "tables/scores.tsv"
    text = scores.read_text(encoding="utf-8").replace(f"de{'0' * 62}", "another")
    scores.write_text(text, encoding="utf-8")
    return folder


def rows(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "differences.tsv").open(encoding="utf-8", newline="") as file:
        return {(row["system"], row["over"]): row for row in csv.DictReader(file, delimiter="\t")}


def test_differences_are_those_of_the_scores(old: Path, new: Path, tmp_path: Path):
    compare(old, new, tmp_path, draws=DRAWS)
    found = rows(tmp_path)
    english, french = found["posterior", "en"], found["posterior", "fr"]
    assert (float(english["old"]), float(english["new"])) == pytest.approx((92.4, 95.4))
    assert float(english["difference"]) == pytest.approx(3.0) and english["verdict"] == "better"
    assert float(french["difference"]) == pytest.approx(-4.0) and french["verdict"] == "worse"
    assert float(found["posterior", "trained"]["difference"]) == pytest.approx(-1 / 3, abs=1e-3)
    assert found["posterior", "trained"]["languages"] == "en fr nl"
    assert found["posterior", "trained"]["seeds"] == "2 against 2"
    # The same predictions give no difference; the interval is that of the seeds, as the draws are paired.
    baseline = found["baseline", "trained"]
    averages = [[100 - sum(WRONG[f"students/baseline/seed-{seed}"][x] for x in TRAINED) / 30 for seed in (0, 1)]] * 2
    bounds = stats.ttest_ind(*averages, equal_var=False).confidence_interval(0.95)
    assert [float(baseline[key]) for key in ("difference", "low", "high")] == pytest.approx([0, *bounds], abs=1e-4)
    assert (baseline["verdict"], float(baseline["p_holm"])) == ("no difference shown", 1.0)
    assert ("teachers (crf)", "en") in found


def test_all_verdicts_of_the_page_are_corrected_together(old: Path, new: Path, tmp_path: Path):
    compare(old, new, tmp_path, draws=DRAWS)
    found = [row for row in rows(tmp_path).values() if row["p"]]
    tested = sorted(float(row["p"]) for row in found)
    # Averages and single languages of two systems: in-language and zero-shot out of domain, and five languages.
    assert len(tested) == 2 * (2 + 5)
    # Zero-shot out of domain is Arabic alone: its rows are one test of each system, not two.
    tests = len(tested) - 2
    smallest = min(found, key=lambda row: float(row["p"]))
    assert float(smallest["p_holm"]) == pytest.approx(min(1, tests * float(smallest["p"])), rel=1e-4)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "correction for the 12 comparisons" in re.sub(r"\s+", " ", page)


def test_a_group_of_one_language_is_tested_once(tmp_path: Path):
    """One language and one system are one test, so there is nothing to correct."""
    files = {"train": "train.conllu", "test": "test.conllu", "format": "conllu"}
    changes = {"languages": {"en": files}, "zero_shot": {}, "distill": {"objectives": ["baseline"]}}
    folders = []
    for name, errors in (("a", (100, 104)), ("b", (93, 96))):
        wrong = {f"students/baseline/seed-{seed}": {"en": number} for seed, number in enumerate(errors)}
        folders.append(scored(tmp_path, name, wrong, **changes))
    compare(*folders, tmp_path / "out", draws=DRAWS)
    found = rows(tmp_path / "out")
    group, english = found["baseline", "trained"], found["baseline", "en"]
    assert group["p_holm"] == english["p_holm"] == group["p"] == english["p"]
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert (
        "p is below 0.05. This page makes one comparison: there is nothing to correct." in page and "Holm" not in page
    )


def test_experiments_of_one_seed_have_no_verdicts(tmp_path: Path):
    alone = {model: found for model, found in WRONG.items() if model.endswith("seed-0")}
    folders = [build(tmp_path / name, alone)[0] for name in ("a", "b")]
    for folder in folders:
        build_report(folder, settings(seeds=[0]), draws=DRAWS)
    compare(*folders, tmp_path / "out", draws=DRAWS)
    assert {row["verdict"] for row in rows(tmp_path / "out").values()} == {"one seed: no verdict"}
    page = re.sub(r"\s+", " ", (tmp_path / "out/index.html").read_text(encoding="utf-8"))
    assert "it does not cover the choice of seeds" in page and "Holm" not in page and "clearly" not in page.lower()


def test_small_test_sets_are_noted(tmp_path: Path):
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    compare(*folders, tmp_path / "enough", draws=DRAWS)
    enough = (tmp_path / "enough/index.html").read_text(encoding="utf-8")
    assert "Small test sets" not in enough and "No span in" not in enough
    for path in tmp_path.rglob("metrics/**/fr.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        counts = {name: " ".join(text.split()[:19]) for name, text in record["sentence_counts"].items()}
        write_json(path, record | {"sentence_counts": counts})
    compare(*folders, tmp_path / "few", draws=DRAWS)
    page = (tmp_path / "few/index.html").read_text(encoding="utf-8")
    assert "Small test sets: fr (19). With fewer than 20 sentences" in page


def test_a_test_set_without_a_span_is_named(tmp_path: Path):
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    for path in tmp_path.rglob("metrics/**/fr.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        counts = {name: " ".join("0" for _ in text.split()) for name, text in record["sentence_counts"].items()}
        write_json(path, record | {"sentence_counts": counts})
    compare(*folders, tmp_path / "out", draws=DRAWS)
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "No span in the test set of fr: F1 is 0 there whatever a model predicts." in page


def test_a_few_test_sentences_have_no_verdict_and_are_named(old: Path, new: Path, tmp_path: Path):
    folders = [shutil.copytree(folder, tmp_path / folder.name) for folder in (old, new)]
    for folder in folders:
        shorten(folder, "fr", 5)
    compare(*folders, tmp_path / "out", draws=DRAWS)
    found, text = rows(tmp_path / "out"), (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert {found["posterior", over]["verdict"] for over in ("trained", "fr")} == {"too few test sentences: no verdict"}
    assert found["posterior", "en"]["verdict"] == "better"
    assert "Small test sets: fr (5)." in text and "too few test sentences: no verdict</span>" in text


def test_other_test_sets_are_refused_and_said(old: Path, new: Path, tmp_path: Path):
    compare(old, new, tmp_path, draws=DRAWS)
    assert not any(over == "de" for _, over in rows(tmp_path))
    # xx is left out of averages, ar has one of its own: it is of another domain
    assert rows(tmp_path)["posterior", "zero_shot_out_of_domain"]["languages"] == "ar"
    assert ("posterior", "zero_shot") not in rows(tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    section = page[page.index('id="refused"') : page.index('id="settings"')]
    assert "other test sentences or labels" in section and ">de<" in section


def test_a_group_of_languages_without_a_shared_system_has_no_number(tmp_path: Path):
    """Other objectives, the same teachers: teachers have no score in zero-shot languages."""
    folders = []
    for name, objective in (("a", "emission"), ("b", "posterior")):
        wrong = {x.replace("posterior", objective): found for x, found in WRONG.items() if "baseline" not in x}
        folders.append(scored(tmp_path, name, wrong, distill={"objectives": [objective]}))
    compare(*folders, tmp_path / "out", draws=DRAWS)
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "In-language: no average changed" in page and "Zero-shot: " not in page


def test_languages_that_are_left_out_of_averages_are_compared_alone(tmp_path: Path):
    zero_shot = {x: {"test": f"{x}.conllu", "format": "conllu", "leave_out": "made by a machine"} for x in ("de", "ar")}
    wrong = {x: found for x, found in WRONG.items() if "students" in x}
    folders = [scored(tmp_path, name, wrong, zero_shot=zero_shot) for name in ("a", "b")]
    for folder in folders:
        path = folder / "tables/scores.tsv"
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(x for x in lines if "\tzero_shot\t" in x or x == lines[0]), encoding="utf-8")
    compare(*folders, tmp_path / "out", draws=DRAWS)
    assert {over for _, over in rows(tmp_path / "out")} == {"de", "ar"}


def test_each_language_that_cannot_be_compared_has_its_reason(old: Path):
    side = read_side(old)
    frame = side.scores
    without = replace(side, name="without", scores=frame[frame["language"] != "fr"])
    assert (
        Pair(side, without, draws=DRAWS).refused == Pair(without, side, draws=DRAWS).refused == {"fr": "not in without"}
    )
    other = frame.assign(score=frame["score"].where(frame["language"] != "en", "f1"))
    pair = Pair(side, replace(side, scores=other), draws=DRAWS)
    assert pair.refused == {"en": "other scores (F1 against accuracy)"} and "fr" in pair.languages
    with pytest.raises(MismatchError) as caught:
        Pair(side, replace(side, scores=frame.assign(system="another")), draws=DRAWS)
    assert caught.value.hint == "Systems: teachers (crf), baseline, posterior against another."


def test_systems_that_share_no_language_cannot_be_compared(old: Path):
    side = read_side(old)
    frame = side.scores[side.scores["language"].isin(["en", "fr"]) & (side.scores["kind"] == "student")]
    crossed = (frame["system"] == "baseline") == (frame["language"] == "en")
    with pytest.raises(MismatchError, match="nothing can be compared"):
        Pair(replace(side, scores=frame[crossed]), replace(side, scores=frame[~crossed]), draws=DRAWS)


@pytest.mark.slow
def test_averages_are_those_of_the_reports(old: Path, tmp_path: Path):
    compare(old, experiment(tmp_path, "same"), tmp_path, draws=DRAWS)
    with (old / "tables/zero_shot.tsv").open(encoding="utf-8", newline="") as file:
        printed = {row["system"]: row for row in csv.DictReader(file, delimiter="\t")}["posterior"]
    for over, column in (("zero_shot", "average"), ("zero_shot_out_of_domain", "average, out of domain")):
        assert f"{float(rows(tmp_path)['posterior', over]['old']):.2f}" == printed[column].split(" ")[0]


def test_nothing_to_compare_is_an_error(old: Path, tmp_path: Path):
    foreign = experiment(tmp_path, "foreign")
    scores = foreign / "tables/scores.tsv"
    scores.write_text(re.sub("0{62}", "1" * 62, scores.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(MismatchError, match="nothing can be compared"):
        compare(old, foreign, tmp_path / "out", draws=DRAWS)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="has no tables"):
        compare(old, tmp_path, tmp_path / "out")
    with pytest.raises(TagdistillError, match="one experiment, not two"):
        compare(old, old, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not readable as a table"),
        ("a\tb\n1\t2\t3\t4\n1\n1\t2\t3\t4\t5\n", "not readable as a table"),
        ("a\n", "no column"),
    ],
)
def test_a_spoilt_table_is_named(tmp_path: Path, text: str, what: str):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/scores.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=what) as caught:
        read_side(tmp_path)
    assert caught.value.where == str(tmp_path / "tables/scores.tsv")


@pytest.mark.slow
def test_a_score_on_other_sentences_is_found_even_where_the_hash_says_otherwise(old: Path, tmp_path: Path):
    changed = experiment(tmp_path, "changed")
    path = changed / "metrics/students/baseline/seed-0/en.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    counts = record["sentence_counts"]
    record["sentence_counts"] = {name: " ".join(text.split()[:-1]) for name, text in counts.items()}
    write_json(path, record)
    with pytest.raises(TagdistillError):
        Pair(read_side(old), read_side(changed), draws=DRAWS).averages  # noqa: B018


def test_settings_that_differ_are_shown(old: Path, new: Path, tmp_path: Path):
    compare(old, new, tmp_path, draws=DRAWS)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    section = page[page.index('id="settings"') :]
    assert "student: training.updates" in section and ">200<" in section and ">300<" in section
    assert "training text of en" in section and "hidden" not in section


def settings_section(folders: list[Path], out: Path) -> str:
    compare(*folders, out, draws=DRAWS)
    page = (out / "index.html").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", page[page.index('id="settings"') :])


def test_a_setting_that_differs_in_some_models_alone_names_them(tmp_path: Path):
    """All students have another batch, the baseline alone another temperature, and the French teacher more updates."""
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    for folder, other in zip(folders, (0, 1), strict=True):
        for objective, temperature in (("baseline", 1 + 3 * other), ("posterior", 1)):
            config = {"distill": {"temperature": temperature}, "training": {"batch": 16 + other}}
            write_json(folder / f"students/{objective}/seed-0/model/config.json", config)
        for language, updates in (("en", 100), ("fr", 100 + other), ("nl", 100)):
            config = {"training": {"updates": updates}, "corpora": {language: f"{language}{other}"}}
            write_json(folder / f"teachers/{language}/crf/seed-0/model/config.json", config)
    section = settings_section(folders, tmp_path / "out")
    named = re.findall(r'<th scope="row"[^>]*>(.*?)</th>', section)
    assert named == [
        "baseline: distill.temperature",
        "student: training.batch",
        "teacher (crf) of en: training text of en",
        "teacher (crf) of fr: training.updates",
        "teacher (crf) of fr: training text of fr",
        "teacher (crf) of nl: training text of nl",
    ]


def test_a_setting_that_differs_between_the_seeds_of_one_system_is_shown_with_them(tmp_path: Path):
    """The second experiment's seeds differ in their updates and nothing else; the first lacks a model of one seed."""
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    for folder, seed, updates in ((folders[0], 1, 100), (folders[1], 0, 100), (folders[1], 1, 200)):
        config = {"training": {"updates": updates, "batch": 16}, "seed": seed}
        write_json(folder / f"students/posterior/seed-{seed}/model/config.json", config)
    section = settings_section(folders, tmp_path / "out")
    assert ">100<" in section and ">100 (seed-0), 200 (seed-1)<" in section and "batch" not in section
    twin = shutil.copytree(folders[1], tmp_path / "c")
    assert settings_section([folders[1], Path(twin)], tmp_path / "same").count(">100 (seed-0), 200 (seed-1)<") == 2


def test_what_came_of_a_training_is_no_setting(tmp_path: Path):
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    for folder, found in zip(folders, (0.5, 0.75), strict=True):
        learned = {"mix": {"weights": {"1": found}, "scale": found}, "weights_sha256": folder.name * 64}
        config = {"distill": {"gate": "soft"}, "gate": {"en": found}, **learned}
        write_json(folder / "students/posterior/seed-0/model/config.json", config)
    assert "do not differ" in settings_section(folders, tmp_path / "out")


def test_other_decoding_of_the_same_models_is_a_setting_that_differs(tmp_path: Path):
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    config = {"training": {"updates": 100}}
    for folder, decode in zip(folders, ("constrained", "unconstrained"), strict=True):
        write_json(folder / "students/posterior/seed-0/model/config.json", config)
        for path in (folder / "metrics").rglob("*.json"):
            write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"decode": decode})
    section = settings_section(folders, tmp_path / "out")
    assert "evaluate.decode" in section and ">constrained<" in section and ">unconstrained<" in section
    assert "evaluate.decode" not in settings_section(
        [folders[0], Path(shutil.copytree(folders[0], tmp_path / "c"))], tmp_path / "same"
    )


def test_no_settings_recorded_is_not_no_difference(tmp_path: Path):
    """Where the models were removed, nothing is known of their settings."""
    folders = [scored(tmp_path, name) for name in ("a", "b")]
    assert "do not differ" not in (section := settings_section(folders, tmp_path / "out"))
    assert "No settings are recorded" in section
    for folder in folders:
        write_json(folder / "students/posterior/seed-0/model/config.json", {"training": {"updates": 100}})
    assert "do not differ" in settings_section(folders, tmp_path / "out")


def test_where_nothing_changed_no_system_is_named(old: Path, new: Path, tmp_path: Path):
    twin = tmp_path / "twin"
    shutil.copytree(old, twin)
    for first, second, said in ((old, twin, "no average changed"), (old, new, "posterior changed most")):
        compare(first, second, tmp_path / "out", draws=DRAWS)
        assert f"In-language: {said}" in (tmp_path / "out/index.html").read_text(encoding="utf-8")


def test_the_page_stands_alone_and_is_the_same_twice(old: Path, new: Path, tmp_path: Path):
    compare(old, new, tmp_path / "1", draws=DRAWS)
    compare(old, new, tmp_path / "2", draws=DRAWS)
    page = (tmp_path / "1/index.html").read_bytes()
    assert page == (tmp_path / "2/index.html").read_bytes()
    assert b"<script" not in page and not re.search(rb'(?:src|href)="http', page)
    assert page.count(b"<svg") == 1
