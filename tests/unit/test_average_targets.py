"""Targets of several teachers: exactly those of the average of their distributions, by listing all label sequences."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_scores_and_targets import LABELS, scores_of, taught

from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.distill import average_targets as module
from tagdistill.distill.average_targets import average_targets, targets_of_average
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.distill.export_targets import targets_of
from tagdistill.distill.score_table import Scores, write_scores
from tagdistill.distill.target_table import Targets, read_targets
from tagdistill.errors import MismatchError, TagdistillError

LENGTHS = [3, 1, 5, 2, 4]


def enumerated(scores: Scores, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all label sequences of a sentence and their probabilities, in float64."""
    emissions = scores.emissions[scores.offsets[row] : scores.offsets[row + 1]].astype(float)
    paths = np.array(list(itertools.product(range(len(LABELS)), repeat=len(emissions))))
    values = emissions[np.arange(len(emissions)), paths].sum(1) + scores.start[paths[:, 0]] + scores.end[paths[:, -1]]
    weights = np.exp(values + scores.transitions.astype(float)[paths[:, :-1], paths[:, 1:]].sum(1))
    return paths, weights / weights.sum()


def averaged(teachers: list[Scores], shares: list[float], row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all label sequences of a sentence and their probabilities under the average."""
    every = [enumerated(one, row) for one in teachers]
    return every[0][0], sum(share * probs for share, (_, probs) in zip(shares, every, strict=True))


def teachers_of(number: int, sd: float, lengths: list[int] = LENGTHS) -> list[Scores]:
    return [scores_of(lengths, sd=sd, seed=seed, teacher_sha256=f"t{seed}") for seed in range(number)]


@pytest.mark.parametrize("k", [1, 4, 30])
@pytest.mark.parametrize("sd", [0.05, 0.5, 3.0])  # teachers that are hardly sure, and very sure of different things
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.1], [0.2, 0.5, 0.3]], ids=str)
def test_targets_are_those_of_the_average_of_the_distributions(shares, sd, k):
    teachers = teachers_of(len(shares), sd)
    targets, unproven = targets_of_average(teachers, shares, k, {})
    assert unproven == 0
    for row, length in enumerate(LENGTHS):
        paths, probs = averaged(teachers, shares, row)
        begin, end = targets.offsets[row], targets.offsets[row + 1]
        marginals = [[probs[paths[:, t] == x].sum() for x in range(len(LABELS))] for t in range(length)]
        np.testing.assert_allclose(np.exp(targets.log_posterior[begin:end].astype(float)), marginals, atol=2e-3)
        there = min(k, len(paths))
        best = np.sort(probs)[::-1][:there]
        np.testing.assert_allclose(np.exp(targets.path_log_prob[row, :there]), best, rtol=1e-5)
        assert np.isneginf(targets.path_log_prob[row, there:]).all()
        index = {tuple(path): number for number, path in enumerate(paths.tolist())}
        found = [index[tuple(path)] for path in targets.paths[begin:end, :there].T.tolist()]
        assert len(set(found)) == there
        np.testing.assert_allclose(probs[found], best, rtol=1e-5)


def test_the_best_sequence_of_the_average_may_be_the_best_of_no_teacher():
    """Two teachers sure of different sequences, each with the same second choice."""

    def teacher(first: int) -> Scores:
        scores = scores_of([2], sd=0.0)
        scores.emissions[0] = [0.9, 0.0, 0.0]
        scores.emissions[0, first] = 1.0
        return scores

    targets, _ = targets_of_average([teacher(1), teacher(2)], [0.5, 0.5], 1, {})
    assert targets.paths[0, 0] == 0
    assert {targets_of(teacher(first), 1, {}).paths[0, 0] for first in (1, 2)} == {1, 2}


def test_an_average_of_one_teacher_with_itself_is_that_teacher():
    scores = scores_of(LENGTHS)
    average, _ = targets_of_average([scores, scores], [0.3, 0.7], 4, {})
    alone = targets_of(scores, 4, {})
    np.testing.assert_allclose(average.log_posterior.astype(float), alone.log_posterior.astype(float), atol=2e-2)
    np.testing.assert_allclose(average.path_log_prob, alone.path_log_prob, rtol=1e-6)
    assert (average.paths == alone.paths).all()


def test_what_is_not_proven_is_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "MAX_CANDIDATES", 2)
    lengths = [6, 1]
    teachers = teachers_of(2, 0.02, lengths)
    with caplog.at_level(logging.WARNING):
        targets = written(teachers, [1.0, 1.0], tmp_path, k=2)
    assert targets.metadata["unproven_sentences"] == 1
    assert "in 1 of 2 sentences a sequence that is none of the 2 best of any teacher may be among the 2" in caplog.text
    paths, probs = averaged(teachers, [0.5, 0.5], 0)
    index = {tuple(path): number for number, path in enumerate(paths.tolist())}
    found = [index[tuple(path)] for path in targets.paths[:6].T.tolist()]
    np.testing.assert_allclose(np.exp(targets.path_log_prob[0]), probs[found], rtol=1e-5)  # exact, whatever is missing


def written(teachers: list[Scores], weights: list[float], folder: Path, k: int = 3) -> Targets:
    paths = [folder / f"{number}.parquet" for number in range(len(teachers))]
    for path, scores in zip(paths, teachers, strict=True):
        write_scores(path, scores)
    average_targets(paths, weights, folder / "targets.parquet", k)
    return read_targets(folder / "targets.parquet")


def test_a_file_says_whose_average_it_is_and_only_ratios_count(tmp_path):
    teachers = teachers_of(2, 2.0)
    targets, again = (written(teachers, weights, tmp_path) for weights in ([1.0, 3.0], [2.0, 6.0]))
    assert targets.metadata["teachers"] == ["t0", "t1"] and targets.metadata["weights"] == [0.25, 0.75]
    assert targets.metadata == again.metadata and (targets.log_posterior == again.log_posterior).all()
    assert targets.metadata["labels"] == LABELS and targets.metadata["unproven_sentences"] == 0
    other = written(teachers, [3.0, 1.0], tmp_path)
    assert other.metadata["teacher_sha256"] not in (targets.metadata["teacher_sha256"], "t0", "t1")
    assert (other.log_posterior != targets.log_posterior).any()


@pytest.mark.parametrize("other", [{"corpus_sha256": "d"}, {"decoder": "softmax"}, {"labels": [*LABELS[:2], "I-Y"]}])
def test_scores_of_another_text_or_another_kind_of_teacher_are_refused(other, tmp_path):
    one, two = scores_of(LENGTHS), scores_of(LENGTHS, **{"labels": LABELS, **other})
    with pytest.raises(MismatchError):
        written([one, two], [1.0, 1.0], tmp_path)
    assert not (tmp_path / "targets.parquet").exists()


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]], ids=str)
def test_weights_that_are_not_those_of_the_teachers_are_refused(weights, tmp_path):
    with pytest.raises(TagdistillError, match="--weights: 2 positive numbers are needed"):
        written(teachers_of(2, 1.0), weights, tmp_path)


def test_expected_counts_of_an_average_are_those_of_its_distribution(tmp_path):
    """The structural loss is linear in the teacher's distribution: its expected counts are all that it needs."""
    shares, record = (0.2, 0.5, 0.3), {"language": "fr", "split": "train", "task": "ner", "labels": LABELS}
    tokens = [[f"w{n}" for n in range(length)] for length in LENGTHS]
    labels, ids = [["O"] * length for length in LENGTHS], [f"train-{n}" for n in range(len(LENGTHS))]
    write_corpus(tmp_path / "c.parquet", ids=ids, tokens=tokens, labels=labels, metadata=record)
    sha256 = read_corpus(tmp_path / "c.parquet").sha256
    teachers = [scores_of(LENGTHS, seed=n, corpus_sha256=sha256, teacher_sha256=f"t{n}") for n in range(3)]
    first, *others = (tmp_path / f"{n}.parquet" for n in range(3))
    for path, scores in zip((first, *others), teachers, strict=True):
        write_scores(path, scores)
    files = CorpusFiles("fr", tmp_path / "c.parquet", scores=first, other_scores=tuple(others), shares=shares)
    source = taught(files, "structural")
    for row, length in enumerate(LENGTHS):
        paths, probs = averaged(teachers, list(shares), row)
        unary, pairs = np.zeros((length, len(LABELS))), np.zeros((len(LABELS), len(LABELS)))
        for path, prob in zip(paths, probs, strict=True):
            unary[np.arange(length), path] += prob
            np.add.at(pairs, (path[:-1], path[1:]), prob)
        begin, end = source.offsets[row], source.offsets[row + 1]
        np.testing.assert_allclose(source.per_word["unary"][begin:end], unary, atol=1e-6)
        np.testing.assert_allclose(source.per_sentence["pairs"][row], pairs, atol=1e-6)
    assert source.teacher not in (
        "t0",
        "t1",
        "t2",
        taught(replace(files, shares=(0.3, 0.4, 0.3)), "structural").teacher,
    )
    strange = scores_of(LENGTHS, corpus_sha256="another")
    write_scores(others[1], strange)
    with pytest.raises(MismatchError, match=r"2\.parquet: corpus_sha256 is 'another'"):
        taught(files, "structural")
