"""Out-of-fold teachers: each labelled sentence is labelled by a teacher that has not seen it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import LABELS, TINY, files_of, make_corpus, student_run, teacher_run

from tagdistill.data.corpus import read_corpus
from tagdistill.distill.average_targets import targets_of_average
from tagdistill.distill.dataset import CorpusFiles, read_source
from tagdistill.distill.export_targets import export_targets, targets_of
from tagdistill.distill.folds import Fold, folds_of, without_fold
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_folds import score_out_of_fold
from tagdistill.distill.score_table import read_scores
from tagdistill.distill.target_table import read_targets
from tagdistill.distill.teacher_chains import expected_counts
from tagdistill.errors import ConfigError, DataError
from tagdistill.experiment.check_data import check_data
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.plan import Plan
from tagdistill.training.run_training import run_training

FOLDS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus, the teacher of it all, those without each fold, and the scores of both kinds."""
    folder = tmp_path_factory.mktemp("folds")
    files = files_of(make_corpus(folder, "aa", "train", 30))
    run_training(teacher_run(folder / "whole", files))
    for number in range(FOLDS):
        run_training(replace(teacher_run(folder / f"{number}", files), fold=(number, FOLDS)))
    models = [folder / f"{number}" / "model" for number in range(FOLDS)]
    score_out_of_fold(folder / "whole/model", models, files, folder / "scores.parquet")
    for number, model in enumerate([*models, folder / "whole/model"]):
        score_corpus(model, files, folder / f"{number}.parquet")
    return folder, files


def test_repeats_are_in_the_same_fold_and_all_folds_are_used():
    sentences = [[f"w{n}", "x"] for n in range(200)]
    folds = folds_of([*sentences, *sentences, ["w1x"]], 5)
    assert np.array_equal(folds[:200], folds[200:400]) and set(folds) == set(range(5))
    assert min(Counter(folds[:200].tolist()).values()) > 20
    assert folds_of(sentences, 5).tolist() == folds[:200].tolist()  # wherever it stands


def test_a_fold_is_left_out_word_by_word(made):
    _, files = made
    source = read_source(files, LABELS, TINY)
    folds = folds_of(source.tokens, FOLDS)
    (left,) = without_fold([source], Fold(1, FOLDS))
    rows = np.flatnonzero(folds != 1)
    assert list(left.tokens) == [source.tokens[row] for row in rows] and 0 < len(rows) < len(folds)
    for place, row in enumerate(rows):
        ours, theirs = (slice(*one.offsets[n : n + 2]) for one, n in ((left, place), (source, row)))
        assert torch.equal(left.vectors[ours], source.vectors[theirs])
        assert torch.equal(left.labels[ours], source.labels[theirs])
    with pytest.raises(DataError, match=r"teacher\.folds: all sentences of aa are in fold"):
        alone = replace(left, tokens=left.tokens[:1], offsets=left.offsets[:2])
        without_fold([alone], Fold(int(folds_of(alone.tokens, 2)[0]), 2))


def test_each_sentence_is_scored_by_the_teacher_that_has_not_seen_it(made):
    folder, files = made
    scores, own = (
        read_scores(folder / "scores.parquet"),
        [read_scores(folder / f"{n}.parquet") for n in range(FOLDS + 1)],
    )
    folds = folds_of(read_corpus(files.corpus).tokens, FOLDS)
    assert scores.fold.tolist() == folds.tolist() and scores.transitions.shape == (FOLDS, len(LABELS), len(LABELS))
    for row, fold in enumerate(folds):
        words = slice(*scores.offsets[row : row + 2])
        np.testing.assert_allclose(scores.emissions[words], own[fold].emissions[words], atol=1e-6)
        assert not np.allclose(scores.emissions[words], own[FOLDS].emissions[words], atol=1e-3)
    for fold in range(FOLDS):
        assert np.array_equal(scores.transitions[fold], own[fold].transitions)
    # It stands for the teacher of the whole text, which labels the unlabelled one.
    assert scores.metadata["teacher_sha256"] == own[FOLDS].metadata["teacher_sha256"]
    assert scores.metadata["fold_teachers"] == [one.metadata["teacher_sha256"] for one in own[:FOLDS]]


def test_targets_and_counts_are_those_of_each_sentence_s_own_teacher(made):
    folder, _ = made
    export_targets(folder / "scores.parquet", folder / "targets.parquet", 4)
    found, scores = read_targets(folder / "targets.parquet"), read_scores(folder / "scores.parquet")
    own = [read_scores(folder / f"{n}.parquet") for n in range(FOLDS)]
    expected, counts = [targets_of(one, 4, {}) for one in own], [expected_counts(one) for one in own]
    unary, pairs = expected_counts(scores)
    for row, fold in enumerate(scores.fold):
        words = slice(*scores.offsets[row : row + 2])
        np.testing.assert_allclose(found.log_posterior[words], expected[fold].log_posterior[words], atol=2e-2)
        np.testing.assert_allclose(found.path_log_prob[row], expected[fold].path_log_prob[row], atol=1e-4)
        assert np.array_equal(found.paths[words], expected[fold].paths[words])
        np.testing.assert_allclose(unary[words], counts[fold][0][words], atol=1e-5)
        np.testing.assert_allclose(pairs[row], counts[fold][1][row], atol=1e-5)


def test_the_average_with_a_teacher_without_folds_is_taken_sentence_by_sentence(made):
    folder, _ = made
    scores, whole = read_scores(folder / "scores.parquet"), read_scores(folder / f"{FOLDS}.parquet")
    both = [targets_of(one, 4, {}) for one in (scores, whole)]
    found, _ = targets_of_average([scores, whole], [0.25, 0.75], 4, {})
    average = np.log(
        0.25 * np.exp(both[0].log_posterior.astype(float)) + 0.75 * np.exp(both[1].log_posterior.astype(float))
    )
    np.testing.assert_allclose(found.log_posterior, average, atol=3e-2)


@pytest.mark.parametrize("objective", ["posterior", "structural", "emission", "scores"])
def test_students_learn_from_out_of_fold_values(made, objective, tmp_path):
    folder, files = made
    export_targets(folder / "scores.parquet", folder / "targets.parquet", 4)
    taught = CorpusFiles("aa", files.corpus, files.features, folder / "targets.parquet", folder / "scores.parquet")
    run_training(student_run(tmp_path, [taught], objective=objective, updates=3))
    assert (tmp_path / "model" / "config.json").exists()


# -- the plan


def study(**teacher) -> dict:
    return {
        "name": "study",
        "task": "ner",
        "labels": ["PER", "LOC", "ORG"],
        "languages": {"en": {"source": "demo"}, "es": {"source": "demo"}},
        "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
        "teacher": {"updates": 3, **teacher},
        "student": {"updates": 3},
        "distill": {"objectives": ["baseline", "posterior"]},
    }


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda **teacher: Plan(check_experiment(study(**teacher), "c"), tmp_path)


def test_folds_are_further_teachers_and_change_what_labelled_text_is_scored_by(plan):
    without, folds = plan(), plan(folds=4)
    results = [Counter(result.stage for result in each.files.results()) for each in (without, folds)]
    assert results[1] - results[0] == {"train_fold_teacher": 2 * 4} and not results[0]["train_fold_teacher"]
    assert without.keys.teacher("en", "crf", 0) == folds.keys.teacher("en", "crf", 0)  # it is the one that is tested
    assert without.keys.student("baseline", 0) == folds.keys.student("baseline", 0)
    assert without.keys.student("posterior", 0) != folds.keys.student("posterior", 0)
    args = "en", "crf", 0, "en"
    assert without.keys.scores(*args, "unlabelled") == folds.keys.scores(*args, "unlabelled")
    assert without.keys.scores(*args, "train") != folds.keys.scores(*args, "train")
    assert plan(folds=0).keys.scores(*args, "train") == without.keys.scores(*args, "train")
    files = folds.score_inputs(*args, "train")["folds"]
    assert len(set(files)) == 4 and all(f"/fold-{n}/" in file for n, file in enumerate(files))
    assert "folds" not in folds.score_inputs(*args, "unlabelled") and "folds" not in without.score_inputs(
        *args, "train"
    )
    job = json.loads(folds.specs.teacher("en", "crf", 0, 2))
    assert (job["fold"], job["settings"]["folds"]) == (2, 4)


def test_more_folds_than_sentences_are_refused(plan):
    values = study(folds=5)
    values["limit"] = {"train": 4}
    with pytest.raises(ConfigError, match=r"c: teacher\.folds: 5 folds, but .* has 4 different sentences"):
        check_data(Plan(check_experiment(values, "c"), Path()), "c")
    values["limit"] = {"train": 5}
    check_data(Plan(check_experiment(values, "c"), Path()), "c")


def test_one_fold_is_refused(plan):
    with pytest.raises(ConfigError, match=r"teacher: `folds` is 0, for none, or at least 2"):
        plan(folds=1)
