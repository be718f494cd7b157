"""Batches: within the budget, every sentence once, and padding that is only padding."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from tagdistill.distill.dataset import NO_LABEL, Pool, Source
from tagdistill.distill.teacher_values import TeacherValues
from tagdistill.models.batches import batches_in, bucketed, by_sentence, endless, gather
from tagdistill.training.assemble import mean_and_std


def lengths_of(count: int, seed: int = 0, longest: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, longest + 1, count)


@pytest.mark.parametrize("rng", [None, 3], ids=["fixed", "shuffled"])
@pytest.mark.parametrize("budget", [1, 40, 97, 500, 10**6])
def test_batches_stay_within_the_budget_with_their_padding(budget, rng):
    lengths = lengths_of(300)
    batches = bucketed(lengths, budget, np.random.default_rng(rng) if rng is not None else None)
    for rows in batches:
        assert lengths[rows].max() * len(rows) <= budget or len(rows) == 1
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))


def test_a_sentence_above_the_budget_is_alone():
    batches = bucketed(np.array([3, 900, 2, 3]), 10)
    assert [rows.tolist() for rows in batches] == [[2, 0, 3], [1]]


def test_batches_are_not_smaller_than_they_need_be():
    """No two neighbouring batches of one pass would fit together."""
    lengths = lengths_of(300)
    batches = bucketed(lengths, 200)
    for left, right in pairwise(batches):
        assert lengths[right[0]] * (len(left) + 1) > 200
    padding = sum(lengths[rows].max() * len(rows) for rows in batches) / lengths.sum()
    assert padding < 1.1


def one_by_one(lengths: np.ndarray, budget: int, rng: np.random.Generator | None) -> list[list[int]]:
    """Return what `bucketed` returns, from a walk over all sentences."""
    ties = rng.random(len(lengths)) if rng is not None else np.arange(len(lengths))
    order = np.lexsort((ties, lengths))
    batches: list[list[int]] = []
    for row in order.tolist():
        if not batches or lengths[row] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(row)
    if rng is not None:
        rng.shuffle(batches)
    return batches


@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_are_those_of_a_walk_over_all_sentences(shuffled):
    choices = np.random.default_rng(0)
    for case in range(300):
        lengths = lengths_of(int(choices.integers(60)), case, int(choices.integers(1, 40)))
        budget = int(choices.integers(1, 120))
        found, expected = (
            make(lengths, budget, np.random.default_rng(case) if shuffled else None) for make in (bucketed, one_by_one)
        )
        assert [rows.tolist() for rows in found] == expected
        assert batches_in(lengths, budget) == len(expected)


def test_one_sentence_and_none():
    assert [rows.tolist() for rows in bucketed(np.array([1]), 5)] == [[0]]
    assert bucketed(np.zeros(0, np.int64), 5) == []


def test_passes_differ_and_follow_their_seed():
    lengths, count = lengths_of(200), len(bucketed(lengths_of(200), 100))

    def passes(seed: int) -> list[list[int]]:
        return [rows.tolist() for rows in islice(endless(lengths, 100, np.random.default_rng(seed)), 3 * count)]

    assert passes(1) == passes(1)
    assert passes(1) != passes(2)
    three = [passes(1)[start : start + count] for start in range(0, 3 * count, count)]
    assert all(sorted(row for rows in one for row in rows) == list(range(200)) for one in three)
    assert sorted(map(sorted, three[0])) != sorted(map(sorted, three[1]))  # other neighbours, not only another order


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gather_pads_what_is_missing(dtype):
    values = torch.arange(1, 13).reshape(6, 2).half()
    offsets = np.array([0, 1, 4, 6])
    found = gather(values, offsets, np.array([2, 0, 1]), dtype, fill=-1)
    assert found.dtype == dtype
    assert found[:, :, 0].tolist() == [[9, 11, -1], [1, -1, -1], [3, 5, 7]]


def test_gather_of_flat_labels():
    found = gather(torch.tensor([5, 6, 7]), np.array([0, 2, 3]), np.array([0, 1]), torch.int64, NO_LABEL)
    assert found.tolist() == [[5, 6], [7, NO_LABEL]]


# ---- pools of several languages


def source_of(language: str, lengths: list[int], *, labelled: bool = True, seed: int = 0) -> Source:
    """Every value tells its language and its word, so that a mixed-up row shows."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    words = torch.arange(int(offsets[-1])) + 1000 * seed
    return Source(
        language,
        [[f"{language}{place}"] * length for place, length in enumerate(lengths)],
        offsets,
        words[:, None].repeat(1, 2).half(),
        words if labelled else None,
        {"log_posterior": -words[:, None].half(), "paths": (words[:, None] % 200).to(torch.uint8).repeat(1, 3)},
        {"path_log_prob": -torch.arange(len(lengths))[:, None].float() - 1000 * seed},
    )


def test_a_batch_of_several_languages_keeps_every_value_with_its_sentence():
    pool = Pool([source_of("a", [2, 1, 3]), source_of("b", [4, 1], seed=1)])
    batch = pool.batch(np.array([4, 2, 3, 0]))  # rows of the pool: a0, a2, b0, b1 once sorted
    teacher = TeacherValues(**batch["teacher"])
    assert batch["lengths"].tolist() == [2, 3, 4, 1]
    words = [[0, 1], [3, 4, 5], [1000, 1001, 1002, 1003], [1004]]
    for row, expected in enumerate(words):
        n = len(expected)
        assert batch["labels"][row].tolist() == expected + [NO_LABEL] * (4 - n)
        assert batch["vectors"][row, :n, 1].tolist() == expected
        assert teacher.log_posterior[row, :n, 0].tolist() == [-word for word in expected]
        assert teacher.paths[row, 2, :n].tolist() == [word % 200 for word in expected]
        assert not batch["vectors"][row, n:].any()
    assert teacher.path_log_prob[:, 0].tolist() == [0, -2, -1000, -1001]
    assert batch["vectors"].dtype == teacher.log_posterior.dtype == torch.float32
    assert teacher.paths.dtype == torch.int64
    assert teacher.unary is None


def test_text_without_labels_has_none_in_its_batch():
    batch = Pool([source_of("a", [2, 1], labelled=False)]).batch(np.array([0, 1]))
    assert "labels" not in batch
    assert "log_posterior" in batch["teacher"]


def test_an_empty_pool_has_no_sentence():
    assert Pool([]).lengths.tolist() == []


def test_languages_weigh_the_same_in_the_standardisation():
    """A language of many words does not set the mean of all."""
    small, large = torch.tensor([[0.0], [2.0]]).half(), torch.full((100, 1), 11.0).half()
    mean, std = mean_and_std([small, large])
    assert mean.tolist() == [6.0]
    assert std.item() == pytest.approx(np.sqrt((0 + 4) / 4 + 121 / 2 - 36))
    assert mean.dtype == std.dtype == torch.float32


def test_words_one_after_the_other_become_rows_with_zeros_behind_and_send_back_their_own_gradients():
    values = torch.arange(12.0).view(6, 2).requires_grad_()
    padded = by_sentence(values, torch.tensor([2, 3, 1]))
    expected = [[[0, 1], [2, 3], [0, 0]], [[4, 5], [6, 7], [8, 9]], [[10, 11], [0, 0], [0, 0]]]
    assert padded.tolist() == expected
    (padded * torch.arange(18.0).view(3, 3, 2)).sum().backward()
    assert values.grad.tolist() == [[0, 1], [2, 3], [6, 7], [8, 9], [10, 11], [12, 13]]
