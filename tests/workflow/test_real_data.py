"""The small experiments on real files run through, on every kind of input that they are there for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from prediction_files import read_predictions

from tagdistill.data.corpus import read_corpus

PROJECT = Path(__file__).parents[2]
REAL_DATA = os.environ.get("TAGDISTILL_REAL_DATA", "")
CORES = "1" if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 else "2"

pytestmark = pytest.mark.skipif(not REAL_DATA, reason="TAGDISTILL_REAL_DATA names no folder with the real files")


def run(config: Path, folder: Path, *more: str) -> str:
    """Run a small experiment in a folder of its own and return what Snakemake said."""
    command = ["snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--directory", str(folder), "--cores", CORES]
    command += ["--configfile", str(config), "--config", f"root={REAL_DATA}", *more]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said[-8000:]
    return said


def finished(
    name: str, folder: Path, languages: str = "", zero_shot: str = "", layers: int = 4
) -> tuple[Path, pd.DataFrame]:
    """Run a small experiment from the raw files to the report; return its results and its main scores.

    To save minutes it has fewer layers, and these languages alone: all files are read by the test of `config check`.
    """
    settings = yaml.safe_load((PROJECT / f"config/small/{name}.yaml").read_text(encoding="utf-8"))
    settings["encoder"] |= {"layers": layers, "tap": layers - 1}
    for kept, part in ((languages, "languages"), (zero_shot, "zero_shot")):
        settings[part] = {x: settings[part][x] for x in kept.split() or settings[part]}
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    run(config, folder)
    assert "Nothing to be done" in run(config, folder, "--dry-run")
    results = folder / "results" / f"small-{name}"
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    assert all(objective in page for objective in ("baseline", "posterior", "structural"))
    scores = pd.read_csv(results / "tables" / "scores.tsv", sep="\t", keep_default_na=False)
    main = scores[scores["main"].astype(str) == "True"]
    assert main["value"].astype(float).between(0, 100).all()
    return results, main


def check_predictions(results: Path, language: str) -> None:
    """Predictions stand beside the gold labels word by word, and none is lost."""
    file = results / "predictions/students/structural/seed-0" / f"{language}.conll"
    metrics = json.loads((results / "metrics/students/structural/seed-0" / f"{language}.json").read_text())
    tokens, gold, _ = read_predictions(file)
    corpus = read_corpus(results / "data" / language / "test.parquet")
    assert (tokens, gold) == (corpus.tokens, corpus.labels)
    assert sum(map(len, tokens)) == metrics["words"]
    assert "-DOCSTART-" not in {token for sentence in tokens for token in sentence}


def students(main: pd.DataFrame, role: str) -> pd.DataFrame:
    return main[(main["kind"] == "student") & (main["role"] == role)]


@pytest.mark.parametrize("name", ["ud", "wikiann", "conll2002", "semeval"])
def test_every_file_of_a_small_config_is_read(name, tmp_path):
    settings = yaml.safe_load((PROJECT / f"config/small/{name}.yaml").read_text(encoding="utf-8"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings | {"root": REAL_DATA}), encoding="utf-8")
    command = ["tagdistill", "config", "check", str(tmp_path / "config.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "not checked" not in ended.stdout and "fine" in ended.stdout


@pytest.mark.timeout(1800)
def test_universal_dependencies_end_with_a_report(tmp_path):
    results, main = finished("ud", tmp_path, "fr he ja sl fa ta", "ar hi th zh")
    assert len(students(main, "trained")) == 3 * 6
    assert len(students(main, "zero_shot")) == 3 * 4
    # Sixty sentences a language teach something: well above the share of the commonest tag.
    assert students(main, "trained")["value"].astype(float).mean() > 60
    assert set(main[main["out_of_domain"].astype(str) == "True"]["language"]) == {"he", "ja", "sl", "fa"}
    assert set(main[main["leave_out"] != ""]["language"]) == {"ar", "hi", "th"}
    check_predictions(results, "fr")


@pytest.mark.timeout(1800)
def test_wikiann_ends_with_a_report(tmp_path):
    results, main = finished("wikiann", tmp_path, "fa ta eu id sl", "ar de")
    assert len(students(main, "trained")) == 3 * 5
    assert len(students(main, "zero_shot")) == 3 * 2
    assert len(main[main["kind"] == "teacher"]) == 5 * 7  # every teacher on every language
    assert students(main, "trained")["value"].astype(float).mean() > 20
    for language in ("fa", "eu", "id", "sl"):  # the last three with other names of types
        check_predictions(results, language)
    facts = {x: json.loads((results / f"data/{x}/report.json").read_text()) for x in ("eu", "id", "sl")}
    assert all(set(x["splits"]["train"]["labels"]["spans"]) == {"PER", "LOC", "ORG"} for x in facts.values())
    card = (results / "report/cards/structural-seed-0.md").read_text(encoding="utf-8")
    assert "**Non-commercial:** the data for eu, sl is licensed" in card


@pytest.mark.timeout(1800)
def test_conll_2002_with_fine_tuned_teachers_ends_with_a_report(tmp_path):
    results, main = finished("conll2002", tmp_path, layers=5)
    assert len(students(main, "trained")) == 3 * 2
    own = main[(main["kind"] == "teacher") & (main["role"] == "trained") & (main["teacher"] == main["language"])]
    assert own["value"].astype(float).mean() > 20
    known = pd.read_csv(results / "tables/variants.tsv", sep="\t").query("kind == 'known_types'")
    assert set(known["language"]) <= {"fa", "fr"}  # WikiAnn knows no MISC
    assert (known["other"] >= known["main"]).all()
    model = results / "teachers/es/crf/seed-0/model/config.json"
    assert json.loads(model.read_text())["mode"] == "finetune"
    check_predictions(results, "nl")


@pytest.mark.timeout(1800)
def test_opinion_targets_end_with_a_report(tmp_path):
    results, main = finished("semeval", tmp_path)
    assert len(students(main, "trained")) == 3 * 3 and len(students(main, "zero_shot")) == 3
    assert students(main, "trained")["value"].astype(float).mean() > 10
    report = json.loads((results / "data/id/report.json").read_text())
    assert set(report["splits"]["test"]["labels"]["spans"]) == {"TARGET"}  # ASPECT by another name, SENTIMENT left out
    check_predictions(results, "no")
