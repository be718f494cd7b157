"""What a finished experiment holds: every file is of the language that its name says."""

from __future__ import annotations

import json

from tagdistill.data.corpus import read_corpus
from tagdistill.evaluation.predictions import read_predictions


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


def test_targets_and_features_are_of_their_own_corpus(finished):
    from tagdistill.distill.targets import read_targets
    from tagdistill.encoders.store import FeatureStore

    results = finished.path / "results" / "tiny"
    for file in results.glob("targets/*/crf/*.parquet"):
        corpus = read_corpus(results / "data" / file.parts[-3] / file.name)
        targets = read_targets(file)
        assert (targets.metadata["language"], targets.metadata["corpus_sha256"]) == (corpus.language, corpus.sha256)
        assert targets.ids == corpus.ids
    for file in results.glob("features/*/*/*.safetensors"):
        FeatureStore.open(file).matches(read_corpus(results / "data" / file.parts[-2] / f"{file.stem}.parquet"))
