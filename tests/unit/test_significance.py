"""The paired bootstrap, and verdicts from it and from the spread over seeds."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from tagdistill.errors import MismatchError
from tagdistill.evaluation.bootstrap import Bootstrap, resample
from tagdistill.evaluation.significance import (
    Interval,
    Score,
    closed,
    corrected,
    difference,
    mean_and_sd,
)

BENCH = Path(__file__).parents[2] / "bench"


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


@pytest.mark.parametrize("cells", [200 * 7, 100])  # at least one draw is in a block
def test_blocks_do_not_change_the_draws(monkeypatch, cells: int):
    counts = [random_counts(1)]
    whole = resample(counts, draws=40, seed=3)
    monkeypatch.setattr("tagdistill.evaluation.bootstrap.MAX_BLOCK_CELLS", cells)
    assert np.array_equal(resample(counts, draws=40, seed=3), whole)


def test_same_seed_same_draws_and_another_language_changes_nothing():
    counts = {"fr": {"a": random_counts(1), "b": random_counts(2)}}
    alone = Bootstrap(counts).score(["a"], "fr")
    beside = Bootstrap({**counts, "de": {"a": random_counts(3)}})
    beside.score(["a"], "de")
    assert np.array_equal(beside.score(["a"], "fr"), alone)
    assert not np.array_equal(Bootstrap(counts, seed=1).score(["a"], "fr"), alone)


def test_languages_with_one_test_set_see_the_same_draws():
    both = {"a": random_counts(1), "b": random_counts(2)}
    counts = {"fr": both, "fr-news": both, "de": both}
    boot = Bootstrap(counts, corpora={"fr": "cafe", "fr-news": "cafe", "de": "beef"})
    assert np.array_equal(boot.score(["a"], "fr"), Bootstrap(counts).score(["a"], "fr"))
    assert np.array_equal(boot.score(["a"], "fr-news"), boot.score(["a"], "fr"))
    assert not np.array_equal(boot.score(["a"], "de"), boot.score(["a"], "fr"))
    # What is averaged over a test set and its copy varies as much as on the test set alone.
    names = {"fr": ["a"], "fr-news": ["a"]}
    assert np.array_equal(boot.macro(names), boot.score(["a"], "fr"))
    unknown = Bootstrap(counts, corpora=dict.fromkeys(counts, ""))
    assert not np.array_equal(unknown.score(["a"], "fr-news"), unknown.score(["a"], "fr"))


def given(draws: np.ndarray) -> Score:
    """Return a score whose seeds are all there are."""
    return Score(draws, (float(draws[0]),), given=True)


def steady(*seeds: float) -> Score:
    """Return a score of some seeds that is the same on all test sentences."""
    return Score(np.full(101, np.mean(seeds)), seeds)


def drawn(seed: int, mean: float, sd: float, seeds: tuple[float, ...] = ()) -> Score:
    draws = mean + sd * np.random.default_rng(seed).normal(size=2001)
    draws[0] = mean
    return Score(draws, seeds or (mean,), given=not seeds)


def test_draws_are_paired():
    ours = tags([8, 2, 9, 1] * 25)
    theirs = ours - [1, 0, 0]
    boot = Bootstrap({"fr": {"ours": ours, "theirs": theirs}})
    found = difference(given(boot.score(["ours"], "fr")), given(boot.score(["theirs"], "fr")))
    # One more word right in every sentence of ten: the difference is 10 in every draw, however different the sentences.
    assert (found.value, found.low, found.high) == pytest.approx((10, 10, 10))


def test_seeds_are_averaged_within_a_draw_and_languages_weigh_the_same():
    counts = {
        "fr": {"a0": tags([5] * 100), "a1": tags([7] * 100), "b0": tags([5] * 100)},
        "de": {"a0": tags([9] * 10), "a1": tags([9] * 10), "b0": tags([5] * 10)},
    }
    boot = Bootstrap(counts)
    ours = boot.macro({"fr": ["a0", "a1"], "de": ["a0", "a1"]})
    theirs = boot.macro({"fr": ["b0"], "de": ["b0"]})
    assert ours[0] - theirs[0] == pytest.approx(((60 - 50) + (90 - 50)) / 2)


def test_interval_covers_the_true_difference_nineteen_times_of_twenty():
    draw, covered = np.random.default_rng(5), 0
    for trial in range(200):
        ours, theirs = (tags(draw.binomial(10, rate, size=150).tolist()) for rate in (0.8, 0.75))
        scores = resample([ours, theirs], draws=300, seed=trial)
        found = difference(given(scores[:, 0]), given(scores[:, 1]))
        covered += found.low <= 5.0 <= found.high
    assert 180 <= covered <= 199


@pytest.mark.parametrize("theirs", [(80.0, 80.5, 79.9), (80.0, 80.5), (70.0, 90.0, 85.0, 80.0)])
def test_where_all_sentences_agree_the_seeds_alone_decide_by_the_test_of_welch(theirs: tuple[float, ...]):
    ours = (81.0, 80.7, 81.4)
    found = difference(steady(*ours), steady(*theirs))
    test = stats.ttest_ind(ours, theirs, equal_var=False)
    bounds = test.confidence_interval(0.95)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert found.covers == "sentences and seeds"


def test_the_variances_of_sentences_and_of_seeds_add_up():
    ours, theirs = drawn(1, 81.0, 0.3, (80.8, 81.2, 81.0)), drawn(2, 80.0, 0.2, (80.1, 79.9))
    found = difference(ours, theirs)
    sentences = float(np.var((ours.draws - theirs.draws)[1:], ddof=1))
    parts = [(np.var(side.seeds, ddof=1) / len(side.seeds), len(side.seeds) - 1) for side in (ours, theirs)]
    total = sentences + sum(part for part, _ in parts)
    freedom = total**2 / sum(part**2 / n for part, n in parts)
    t = stats.t(freedom)
    assert found.p == pytest.approx(2 * t.sf(1 / math.sqrt(total)))
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975) * math.sqrt(total))
    # Without a spread over seeds the interval is that of the normal distribution, and of sentences alone.
    alone = difference(given(ours.draws), given(theirs.draws))
    assert alone.high - alone.low == pytest.approx(2 * stats.norm.ppf(0.975) * math.sqrt(sentences))


@pytest.mark.parametrize("seeds", [((81.0,), (80.0, 80.1)), ((81.0, 81.1), (80.0,))])
def test_one_seed_has_no_verdict_and_an_interval_of_sentences(seeds):
    ours, theirs = (drawn(number, of[0], 0.1, of) for number, of in enumerate(seeds))
    (found,) = corrected([difference(ours, theirs)])
    assert (found.p, found.p_holm, found.verdict) == (None, None, "one seed: no verdict")
    assert found.covers == "sentences" and found.above_zero


@pytest.mark.parametrize(("sentences", "verdict"), [(1, None), (5, None), (6, "better"), (100, "better")])
def test_a_few_test_sentences_have_no_verdict_however_well_they_agree(sentences, verdict):
    counts = {"fr": {}, "de": {}}
    for seed in range(3):
        counts["fr"] |= {f"ours-{seed}": tags([9] * 100), f"theirs-{seed}": tags([9] * 100)}
        counts["de"] |= {f"ours-{seed}": tags([10] * sentences), f"theirs-{seed}": tags([0] * sentences)}
    boot = Bootstrap(counts)
    for languages in (["de"], ["fr", "de"]):
        sides = []
        for side, seeds in (("ours", (100.0,) * 3), ("theirs", (0.0,) * 3)):
            draws = boot.macro({language: [f"{side}-{seed}" for seed in range(3)] for language in languages})
            sides.append(Score(draws, seeds, sentences=boot.fewest(languages)))
        (found,) = corrected([difference(*sides)])
        assert found.verdict == (verdict or "too few test sentences: no verdict")
        assert (found.p is None, found.too_few, found.above_zero) == ((verdict is None,) * 2 + (verdict is not None,))
        top = Score(sides[0].draws, sides[0].seeds, given=True, sentences=sides[0].sentences)
        assert (closed(sides[0], sides[1], top) is None) == (verdict is None)


def test_holm_s_correction():
    def tested(p: float | None, value: float = 1.0) -> Interval:
        return Interval(value, 0, 2, p=p)

    found = corrected([tested(0.04), tested(0.001, -1.0), tested(None), tested(0.02), tested(0.015)])
    assert [interval.p_holm for interval in found] == pytest.approx([0.045, 0.004, None, 0.045, 0.045], nan_ok=True)
    assert [interval.verdict for interval in found] == [
        "better",
        "worse",
        "one seed: no verdict",
        "better",
        "better",
    ]
    assert [interval.verdict for interval in corrected([tested(0.03), tested(0.03)])] == ["no difference shown"] * 2
    assert corrected([tested(0.9), tested(0.8)])[0].p_holm == 1.0 and corrected([]) == []


@pytest.mark.parametrize("seeds", [True, False])
def test_the_interval_of_the_gap_closed_holds_the_ratios_that_the_scores_allow(seeds: bool):
    """Fieller: a ratio is in the interval where student - baseline - ratio * gap is within t of its error."""
    several = {"ours": (80.6, 80.9, 80.75), "bottom": (80.0, 80.2, 80.1)} if seeds else {}
    ours = drawn(1, 80.75, 0.1, several.get("ours", (80.75,)))
    bottom = drawn(2, 80.1, 0.1, several.get("bottom", (80.1,)))
    top = Score(drawn(3, 82.0, 0.3).draws, (82.0,), given=True)
    found = closed(ours, bottom, top)
    assert found is not None and found.value == pytest.approx(100 * 0.65 / 1.9)
    assert found.covers == ("sentences and seeds" if seeds else "sentences")
    part, whole = ours.draws - bottom.draws, top.draws - bottom.draws

    def variances(ratio: float) -> tuple[float, list[float]]:
        own = [np.var(ours.seeds, ddof=1) / 3, (1 - ratio) ** 2 * np.var(bottom.seeds, ddof=1) / 3] if seeds else []
        return float(np.var((part - ratio * whole)[1:], ddof=1)), own

    sentences, own = variances(0.65 / 1.9)
    freedom = (sentences + sum(own)) ** 2 / (sum(value**2 for value in own) / 2) if seeds else math.inf

    def beyond(ratio: float) -> float:
        sentences, own = variances(ratio)
        error = math.sqrt(sentences + sum(own))
        return abs(part[0] - ratio * whole[0]) - stats.t(freedom).ppf(0.975) * error

    assert found.low == pytest.approx(100 * optimize.brentq(beyond, -1, 0.65 / 1.9))
    assert found.high == pytest.approx(100 * optimize.brentq(beyond, 0.65 / 1.9, 2))


def test_where_one_of_three_scores_has_one_seed_the_share_of_the_gap_covers_sentences_alone():
    student, baseline, teachers = drawn(1, 75, 0.3, (74, 76)), drawn(2, 70, 0.3, (68, 72)), drawn(3, 80, 0.3, (80,))
    found = closed(student, baseline, teachers)
    alone = closed(*(Score(score.draws, score.seeds[:1]) for score in (student, baseline, teachers)))
    assert found == alone and found.covers == "sentences"


@pytest.mark.parametrize(("value", "p"), [(70.0, 1.0), (71.0, 0.0)])
def test_what_never_varies_differs_or_does_not(value: float, p: float):
    scores = [Score(np.full(11, mean), (mean, mean)) for mean in (value, 70.0)]
    found = difference(*scores)
    assert (found.p, found.low, found.high) == (p, value - 70, value - 70)


def test_a_verdict_needs_a_p_below_the_level():
    found = [Interval(1.0, 0.0, 2.0, p=p, p_holm=p).verdict for p in (0.05, 0.0499)]
    assert found == ["no difference shown", "better"]


def test_no_share_of_a_gap_that_is_not_clear():
    bottom = drawn(2, 80.0, 0.1, (80.0, 80.2, 79.8))
    assert closed(bottom, bottom, given(drawn(3, 80.1, 0.2).draws)) is None
    assert closed(bottom, bottom, given(drawn(3, 79.0, 0.1).draws)) is None


def test_no_interval_where_the_gap_might_be_none_by_the_seeds_of_the_student():
    """The gap is clear, but the student has two seeds that differ much: for the ratio t is four times as large."""
    ours, bottom, top = steady(78.0, 84.0), steady(79.6, 80.1, 80.6), steady(81.5, 82.0, 82.5)
    assert difference(top, bottom).above_zero
    assert closed(ours, bottom, top) is None


def test_equal_objectives_are_called_different_in_at_most_seven_per_cent(monkeypatch: pytest.MonkeyPatch):
    """An A/A test: three seeds against three others of the same objective, with the variances that were measured."""
    monkeypatch.syspath_prepend(BENCH)
    import simulated

    kind = simulated.Kind("tags", 85.0, 3, 120, 10, False, 0.5, 0.5, (1.0, 2.0))
    monkeypatch.setattr(simulated, "KINDS", (kind,))
    experiments = list(simulated.trials(kind, seeds=3, number=150, draws=100))
    pages = [simulated.page(found) for found in experiments]
    assert simulated.false_verdicts(pages)[1] <= 7 and simulated.false_verdicts(pages, simulated.alone)[0] <= 7
    assert simulated.false_verdicts([simulated.sentences_only(found) for found in experiments])[0] > 20


def test_scores_of_different_test_sets_are_not_compared():
    boot = Bootstrap({"fr": {"a": tags([5, 5]), "b": tags([5, 5, 5])}})
    with pytest.raises(MismatchError, match="b and a were scored on different sentences of 'fr'"):
        boot.score(["a"], "fr")


def test_mean_and_spread():
    assert mean_and_sd([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))
    assert mean_and_sd([1.0])[0] == 1.0 and math.isnan(mean_and_sd([1.0])[1])
    assert all(math.isnan(value) for value in mean_and_sd([]))


def test_ten_thousand_draws_of_thirty_models_take_seconds():
    counts = [random_counts(n, sentences=2000) for n in range(30)]
    started = time.process_time()
    assert resample(counts).shape == (10_001, 30)
    assert time.process_time() - started < 15


def test_large_counts_are_added_exactly():
    """In float32 whole numbers above 2 ** 24 are rounded: draws of such counts are added in float64."""
    counts = 2**24 + np.array([[1, 1, 1], [3, 5, 1], [5, 1, 3]])
    ours = resample([counts], draws=20, seed=1)
    chosen = np.random.default_rng(1).integers(3, size=(20, 3))
    totals = counts[chosen].sum(axis=1)
    assert np.array_equal(ours[1:, 0], 200.0 * totals[:, 0] / (totals[:, 1] + totals[:, 2]))
