"""The small experiments on real files run through, on every kind of input that they are there for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

PROJECT = Path(__file__).parents[2]
REAL_DATA = os.environ.get("TAGDISTILL_REAL_DATA", "")

pytestmark = pytest.mark.skipif(not REAL_DATA, reason="TAGDISTILL_REAL_DATA names no folder with the real files")


def run(config: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    command += ["--configfile", str(PROJECT / "config" / "small" / config), "--config", f"root={REAL_DATA}"]
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=1500)


# One worker runs one experiment: the fixture is not made twice.
EXPERIMENTS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("ud", "wikiann", "conll2002")]


@pytest.fixture(scope="module", params=EXPERIMENTS)
def finished(request, tmp_path_factory) -> tuple[str, Path]:
    """One small experiment, run from the raw files to the report."""
    folder = tmp_path_factory.mktemp(request.param)
    ended = run(f"{request.param}.yaml", folder)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-6000:]
    return request.param, folder


def test_a_small_experiment_ends_with_a_report_and_nothing_left_to_do(finished):
    name, folder = finished
    results = folder / "results" / f"small-{name}"
    page = (results / "report" / "index.html").read_text(encoding="utf-8")
    for objective in ("baseline", "posterior", "structural"):
        assert objective in page
    again = run(f"{name}.yaml", folder, "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_every_model_has_a_score_on_every_language_it_should(finished):
    name, folder = finished
    results = folder / "results" / f"small-{name}"
    scores = pd.read_csv(results / "tables" / "scores.tsv", sep="\t", keep_default_na=False)
    main = scores[scores["main"].astype(str) == "True"]
    students = main[main["kind"] == "student"]
    trained = {"ud": 8, "wikiann": 4, "conll2002": 2}[name]
    zero_shot = {"ud": 14, "wikiann": 4, "conll2002": 0}[name]
    assert len(students[students["role"] == "trained"]) == 3 * trained
    assert len(students[students["role"] == "zero_shot"]) == 3 * zero_shot
    assert students["value"].astype(float).between(0, 100).all()
    # A handful of sentences teaches something: tags of words well above the share of the commonest tag.
    if name == "ud":
        assert students[students["role"] == "trained"]["value"].astype(float).mean() > 60


def test_other_treebanks_are_marked_and_translations_left_out_of_averages(finished):
    name, folder = finished
    if name != "ud":
        pytest.skip("only the UD experiment has such languages")
    scores = pd.read_csv(folder / "results/small-ud/tables/scores.tsv", sep="\t", keep_default_na=False)
    marked = set(scores[scores["out_of_domain"].astype(str) == "True"]["language"])
    left_out = set(scores[scores["leave_out"] != ""]["language"])
    assert marked == {"he", "ja", "sl", "fa"}
    assert left_out == {"ar", "hi", "th"}


def test_predictions_stand_beside_the_gold_labels_word_by_word(finished):
    name, folder = finished
    results = folder / "results" / f"small-{name}"
    language = {"ud": "fr", "wikiann": "fa", "conll2002": "nl"}[name]
    file = results / "predictions/students/structural/seed-0" / f"{language}.conll"
    metrics = json.loads((results / "metrics/students/structural/seed-0" / f"{language}.json").read_text())
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line]
    assert {len(line) for line in lines} == {3}
    assert len(lines) == metrics["words"]
    assert "-DOCSTART-" not in {token for token, *_ in lines}
