"""The paired bootstrap."""

import math
import time

import numpy as np
import pytest

from tagdistill.errors import MismatchError
from tagdistill.evaluation.significance import Bootstrap, interval, mean_and_sd, resample, share


def tags(correct: list[int], words: int = 10) -> np.ndarray:
    return np.array([[c, words, words] for c in correct], dtype=np.int64)


def random_counts(seed: int, sentences: int = 200, rate: float = 0.8) -> np.ndarray:
    draw = np.random.default_rng(seed)
    gold = np.random.default_rng(99).integers(0, 5, size=sentences)
    correct = draw.binomial(gold, rate)
    return np.stack([correct, correct + draw.integers(0, 2, size=sentences), gold], axis=1)


def test_resampling_equals_a_plain_loop():
    counts = [random_counts(1), random_counts(2)]
    ours = resample(counts, draws=50, seed=7)
    generator = np.random.default_rng(7)
    for draw, chosen in enumerate(generator.integers(200, size=(50, 200)), start=1):
        for model, table in enumerate(counts):
            correct, predicted, gold = table[chosen].sum(axis=0)
            assert ours[draw, model] == pytest.approx(200 * correct / (predicted + gold))
    whole = counts[0].sum(axis=0)
    assert ours[0, 0] == pytest.approx(200 * whole[0] / (whole[1] + whole[2]))


def test_blocks_do_not_change_the_draws(monkeypatch):
    counts = [random_counts(1)]
    whole = resample(counts, draws=40, seed=3)
    monkeypatch.setattr("tagdistill.evaluation.significance.MAX_BLOCK_CELLS", 200 * 7)
    assert np.array_equal(resample(counts, draws=40, seed=3), whole)


def test_same_seed_same_draws_and_another_language_changes_nothing():
    counts = {"fr": {"a": random_counts(1), "b": random_counts(2)}}
    alone = Bootstrap(counts).score(["a"], "fr")
    beside = Bootstrap({**counts, "de": {"a": random_counts(3)}})
    beside.score(["a"], "de")
    assert np.array_equal(beside.score(["a"], "fr"), alone)
    assert not np.array_equal(Bootstrap(counts, seed=1).score(["a"], "fr"), alone)


def test_draws_are_paired():
    ours = tags([8, 2, 9, 1] * 25)
    theirs = ours - [1, 0, 0]
    boot = Bootstrap({"fr": {"ours": ours, "theirs": theirs}})
    difference = interval(boot.score(["ours"], "fr") - boot.score(["theirs"], "fr"))
    # One more word right in every sentence of ten: the difference is 10 in every draw, however different the sentences.
    assert (difference.value, difference.low, difference.high) == pytest.approx((10, 10, 10))


def test_seeds_are_averaged_within_a_draw_and_languages_weigh_the_same():
    counts = {
        "fr": {"a0": tags([5] * 100), "a1": tags([7] * 100), "b0": tags([5] * 100)},
        "de": {"a0": tags([9] * 10), "a1": tags([9] * 10), "b0": tags([5] * 10)},
    }
    boot = Bootstrap(counts)
    ours = boot.macro({"fr": ["a0", "a1"], "de": ["a0", "a1"]})
    theirs = boot.macro({"fr": ["b0"], "de": ["b0"]})
    assert interval(ours - theirs).value == pytest.approx(((60 - 50) + (90 - 50)) / 2)


def test_a_clear_difference_has_its_interval_above_zero():
    boot = Bootstrap({"fr": {"high": tags([9] * 50), "mixed": tags([10, 0] * 25), "low": tags([4] * 50)}})
    high, mixed, low = (boot.score([name], "fr") for name in ("high", "mixed", "low"))
    assert interval(high - low).above_zero and not interval(high - low).below_zero
    assert interval(low - high).below_zero and not interval(low - high).above_zero
    assert not interval(high - high).above_zero and not interval(high - high).below_zero
    assert interval(mixed - low).value > 0 and not interval(mixed - low).above_zero


def test_interval_covers_the_true_difference_nineteen_times_of_twenty():
    draw, covered = np.random.default_rng(5), 0
    for trial in range(200):
        ours, theirs = (tags(draw.binomial(10, rate, size=150).tolist()) for rate in (0.8, 0.75))
        scores = resample([ours, theirs], draws=300, seed=trial)
        found = interval(scores[:, 0] - scores[:, 1])
        covered += found.low <= 5.0 <= found.high
    assert 180 <= covered <= 199


def test_scores_of_different_test_sets_are_not_compared():
    boot = Bootstrap({"fr": {"a": tags([5, 5]), "b": tags([5, 5, 5])}})
    with pytest.raises(MismatchError, match="b and a were scored on different sentences of 'fr'"):
        boot.score(["a"], "fr")


def test_share_and_spread():
    part, whole = np.array([1.0, 1.0, 2.0]), np.array([4.0, 0.0, 4.0])
    assert share(part, whole).value == 25.0
    assert share(part, whole).high == 50.0  # the draw that divides by 0 is left out
    assert mean_and_sd([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))
    assert mean_and_sd([1.0])[0] == 1.0 and math.isnan(mean_and_sd([1.0])[1])
    assert all(math.isnan(value) for value in mean_and_sd([]))


def test_a_thousand_draws_of_thirty_models_take_seconds():
    counts = [random_counts(n, sentences=2000) for n in range(30)]
    started = time.process_time()
    assert resample(counts).shape == (1001, 30)
    assert time.process_time() - started < 15
