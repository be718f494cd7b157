"""The chain in numpy, which labels text without torch, against enumeration and `tagdistill.crf`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from enumeration import Enumeration, Inputs, all_paths, path_scores, random_inputs

from tagdistill.crf import LinearChain
from tagdistill.tagger.chain import Chain, Edges

LENGTHS = [4, 1, 3, 2]
SIZES = [2, 3, 4]


def chain_of(inputs: Inputs) -> Chain:
    edges = Edges(*(values.numpy() for values in (inputs.start, inputs.transitions, inputs.end)))
    rows = zip(inputs.emissions.numpy(), inputs.lengths.tolist(), strict=True)
    return Chain.of([emissions[:length] for emissions, length in rows], edges)


@pytest.fixture(params=SIZES)
def inputs(request) -> Inputs:
    return random_inputs(LENGTHS, request.param, seed=request.param)


def test_log_partition_is_the_sum_over_all_sequences(inputs):
    np.testing.assert_allclose(chain_of(inputs).log_partition, Enumeration(inputs).log_partition, rtol=1e-12)


def test_marginals_are_sums_of_sequence_probabilities_and_0_in_padding(inputs):
    chain, expected = chain_of(inputs), np.zeros(inputs.emissions.shape)
    for row, length in enumerate(LENGTHS):
        paths = all_paths(length, inputs.emissions.shape[2])
        weights = path_scores(inputs, row, paths).softmax(0)
        for path, weight in zip(paths.tolist(), weights.tolist(), strict=True):
            expected[row, range(length), path] += weight
    np.testing.assert_allclose(chain.marginals, expected, atol=1e-13)


def test_the_probability_of_a_span_is_the_sum_over_all_sequences_that_hold_it(inputs):
    chain, labels = chain_of(inputs), inputs.emissions.shape[2]
    for row, length in enumerate(LENGTHS):
        paths = all_paths(length, labels)
        weights = path_scores(inputs, row, paths).softmax(0)
        for start in range(length):
            for end in range(start + 1, length + 1):
                inner = all_paths(end - start, labels)[7 % labels ** (end - start)]
                held = (paths[:, start:end] == inner).all(1)
                found = chain.probability(row, start, inner.tolist())
                assert found == pytest.approx(float(weights[held].sum()), abs=1e-13)


def test_best_sequences_and_k_best_with_their_probabilities_are_those_of_enumeration(inputs):
    chain, k = chain_of(inputs), 5
    paths = chain.top_k(k)
    for row, length in enumerate(LENGTHS):
        listed = all_paths(length, inputs.emissions.shape[2])
        weights, order = path_scores(inputs, row, listed).softmax(0).sort(descending=True)
        real = min(k, len(listed))
        np.testing.assert_allclose(np.exp(paths.log_probabilities[row, :real]), weights[:real], atol=1e-13)
        assert (paths.log_probabilities[row, real:] == -np.inf).all()
        assert paths.labels[row, :real, :length].tolist() == listed[order[:real]].tolist()
        assert not paths.labels[row, :, length:].any()
        assert chain.best[row, :length].tolist() == listed[order[0]].tolist() and not chain.best[row, length:].any()


def test_it_agrees_with_the_chain_in_torch_on_long_sentences_and_forbidden_transitions():
    inputs = random_inputs([60, 7, 33], 9, seed=1, sd=3.0)
    inputs.transitions[2:4, 5:] = -1e4
    ours, theirs = chain_of(inputs), LinearChain(*inputs.arguments()[:3], start=inputs.start, end=inputs.end)
    np.testing.assert_allclose(ours.log_partition, theirs.log_partition, rtol=1e-12)
    np.testing.assert_allclose(ours.marginals, theirs.marginals, atol=1e-12)
    assert ours.best.tolist() == theirs.argmax.tolist()
    top = theirs.top_k(6)
    np.testing.assert_allclose(ours.top_k(6).log_probabilities, top.log_prob, rtol=1e-9)
    assert ours.top_k(6).labels.tolist() == top.labels.tolist()


def test_what_stands_past_a_sentences_end_is_never_too_large_for_a_number():
    inputs = random_inputs([300, 1], 3, seed=2)
    inputs.transitions[:] += 5
    with np.errstate(all="raise"):
        np.testing.assert_allclose(chain_of(inputs).marginals[1, 0].sum(), 1)


def test_ties_are_broken_as_in_torch():
    zeros = torch.zeros(2, 4, 3, dtype=torch.float64)
    theirs = LinearChain(zeros, torch.zeros(3, 3, dtype=torch.float64), torch.tensor([4, 2]))
    edges = Edges(np.zeros(3), np.zeros((3, 3)), np.zeros(3))
    assert Chain.of([np.zeros((4, 3)), np.zeros((2, 3))], edges).best.tolist() == theirs.argmax.tolist()
