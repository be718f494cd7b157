"""What a finished experiment holds: every file is of the language that its name says."""

from __future__ import annotations

import json
import re

from prediction_files import read_predictions
from projects import experiment

from tagdistill.data.corpus import read_corpus
from tagdistill.reporting.figures import FIGURES


def test_every_prediction_and_score_is_of_its_own_language(finished):
    # The experiment's languages are not in alphabetical order: en, es, then de.
    results = finished.path / "results" / "tiny"
    files = sorted(results.glob("predictions/*/**/*.conll"))
    assert len(files) == 3 * 3 + 2 * 3  # students and teachers on every language
    for file in files:
        corpus = read_corpus(results / "data" / file.stem / "test.parquet")
        tokens, gold, _ = read_predictions(file)
        assert tokens == corpus.tokens, file
        assert gold == corpus.labels, file
        metrics = json.loads(
            (results / "metrics" / file.relative_to(results / "predictions")).with_suffix(".json").read_text()
        )
        assert (metrics["language"], metrics["corpus_sha256"]) == (file.stem, corpus.sha256)
        assert metrics["role"] == ("zero_shot" if file.stem == "de" else "trained")


def test_a_run_ends_with_the_place_of_its_report(finished):
    line = f"The report: {finished.path.resolve() / 'results/tiny/report/index.html'}"
    assert (finished.path / "done").read_text(encoding="utf-8").count(line) == 1
    assert "The report:" not in finished.plan(experiment(), "--forceall").text  # a dry run made none


def test_targets_and_features_are_of_their_own_corpus(finished):
    from tagdistill.distill.target_table import read_targets
    from tagdistill.encoders.store import FeatureStore

    results = finished.path / "results" / "tiny"
    for file in results.glob("targets/*/crf/*.parquet"):
        corpus = read_corpus(results / "data" / file.parts[-3] / file.name)
        targets = read_targets(file)
        assert (targets.metadata["language"], targets.metadata["corpus_sha256"]) == (corpus.language, corpus.sha256)
        assert targets.ids == corpus.ids
    for file in results.glob("features/*/*/*.safetensors"):
        FeatureStore.open(file).matches(read_corpus(results / "data" / file.parts[-2] / f"{file.stem}.parquet"))


def test_the_report_of_snakemake_holds_figures_with_captions_and_needs_no_network(finished, tmp_path):
    page = tmp_path / "report.html"
    config = finished.write(experiment())
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    done = finished.snakemake(config, "--report", str(page), **nowhere)
    assert done.returncode == 0, done.stdout
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="https?:', text)
    categories = json.loads(re.search(r"var categories = (\{.*?\})[;\n]", text)[1])
    assert set(categories) == {"Report", "Figures", "Tables", "Model cards"}
    figures = [f"results/tiny/figures/{name}.svg" for name in FIGURES]
    assert sorted(categories["Figures"]["Other"]) == sorted(figures)
    for name, file in zip(FIGURES, figures, strict=True):
        entry = text[text.index(f'"{file}": {{"name"') :][:2000]
        assert f'"labels": {{"figure": "{name}"}}' in entry
        caption = re.search(r'"caption": "<p>(.*?)</p>', entry)[1]
        assert len(caption.split()) > 5
