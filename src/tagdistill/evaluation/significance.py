"""Which differences are more than chance: of other test sentences, and of other seeds of the same training.

The variance of a difference has two parts: that of the test sentences, from a paired bootstrap of the means over seeds,
and that of the seeds, the sample variance of each side's seeds over their number. The two sides count as independent:
where their seeds share batches that costs power, and no validity. Student's t has the degrees of freedom of Welch and
Satterthwaite. `docs/reliability.md` has the share of false verdicts, measured, beside those of other methods.

Not covered are the choice of training data, and the teachers where they are taken as given: an interval for the whole
procedure is wider.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, stdev, variance
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.evaluation.bootstrap import Draws

FEW_SENTENCES = 20  # of a test set, below which resampled sentences vary too little
LEAST_SENTENCES = 6  # below, no difference is significant even where all sentences agree on it: 2 / 2**5 > 0.05
LEVEL = 0.05  # of the verdicts on one page together; intervals are of one less this, each by itself
BETTER, WORSE, UNCLEAR = "better", "worse", "no difference shown"
ONE_SEED, TOO_FEW = "one seed: no verdict", "too few test sentences: no verdict"
SENTENCES, BOTH = "sentences", "sentences and seeds"  # what an interval covers


@dataclass(frozen=True)
class Score:
    """The score of a system: its mean over seeds in each draw of test sentences, and the score of each seed.

    `given`: the models are taken as they are, as the teachers are that taught, and not as a sample of seeds.
    `sentences` is the size of its smallest test set.
    """

    draws: Draws
    seeds: tuple[float, ...]
    given: bool = False
    sentences: float = math.inf

    @property
    def has_spread(self) -> bool:
        """Whether the variance over seeds is known, or none is asked for."""
        return self.given or len(self.seeds) > 1

    @property
    def over_seeds(self) -> Variance:
        """The variance of the mean over seeds that is due to the seeds."""
        if self.given or len(self.seeds) < 2:
            return NO_VARIANCE
        value = variance(self.seeds) / len(self.seeds)
        return Variance(value, value**2 / (len(self.seeds) - 1))


@dataclass(frozen=True)
class Variance:
    """A variance, and the sum of squares of its estimated parts, each over its degrees of freedom."""

    value: float
    spread: float

    def __add__(self, other: Variance) -> Variance:
        """Return the variance of a sum of independent values."""
        return Variance(self.value + other.value, self.spread + other.spread)

    def times(self, factor: float) -> Variance:
        """Return the variance of a value that is multiplied by the root of a factor."""
        return Variance(self.value * factor, self.spread * factor**2)

    @property
    def freedom(self) -> float:
        """The degrees of freedom (Satterthwaite 1946)."""
        return self.value**2 / self.spread if self.spread else math.inf


NO_VARIANCE = Variance(0.0, 0.0)


@dataclass(frozen=True)
class Interval:
    """A value and its 95% interval, which covers what `covers` says.

    `p` is two-sided, of the value being 0, and None where there is no verdict, for the reason `untested`; `p_holm` is
    corrected for all comparisons of a page.
    """

    value: float
    low: float
    high: float
    covers: str = BOTH
    p: float | None = None
    p_holm: float | None = None
    untested: str = ONE_SEED

    @property
    def too_few(self) -> bool:
        """Whether the test sentences are too few to tell the value from 0."""
        return self.p is None and self.untested == TOO_FEW

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0, and is of enough sentences to say so."""
        return self.low > 0 and not self.too_few

    @property
    def verdict(self) -> str:
        """The result in words, once `p_holm` is known."""
        if self.p_holm is None:
            return self.untested
        if self.p_holm >= LEVEL:
            return UNCLEAR
        return BETTER if self.value > 0 else WORSE


def difference(ours: Score, theirs: Score) -> Interval:
    """Return the difference of two scores on the same draws, its interval, and `p`.

    There is no `p` unless both have several seeds, and enough test sentences.
    """
    draws = ours.draws - theirs.draws
    known = ours.has_spread and theirs.has_spread
    total = Variance(_variance(draws), 0.0)
    if known:
        total = total + ours.over_seeds + theirs.over_seeds
    value, error = float(draws[0]), math.sqrt(total.value)
    half = _quantile(total.freedom) * error
    enough = min(ours.sentences, theirs.sentences) >= LEAST_SENTENCES
    p = _p(value, error, total.freedom) if known and enough else None
    covers = BOTH if known else SENTENCES
    return Interval(value, value - half, value + half, covers, p, untested=ONE_SEED if enough else TOO_FEW)


def closed(student: Score, baseline: Score, teachers: Score) -> Interval | None:
    """Return the per cent of the gap between baseline and teachers that a student closes, with Fieller's interval.

    None where the gap is not clearly above 0: the ratio would be noise, and its interval has no end.
    """
    gap = difference(teachers, baseline)
    part, whole = student.draws - baseline.draws, teachers.draws - baseline.draws
    if not gap.above_zero:
        return None
    value = float(part[0] / whole[0])
    sentences = np.cov(part[1:], whole[1:])
    known = all(score.has_spread for score in (student, baseline, teachers))
    ours, theirs, top = (score.over_seeds if known else NO_VARIANCE for score in (student, baseline, teachers))
    # Both differences have the baseline in them: its seeds are in the covariance too.
    of_part = float(sentences[0, 0]) + ours.value + theirs.value
    of_both = float(sentences[0, 1]) + theirs.value
    of_whole = float(sentences[1, 1]) + theirs.value + top.value
    # Fieller's t is of student - baseline - value * (teachers - baseline), whose mean is 0 at the true value.
    seeds = ours + theirs.times((1 - value) ** 2) + top.times(value**2)
    rest = of_part - 2 * value * of_both + value**2 * of_whole
    t = _quantile(Variance(rest, seeds.spread).freedom)
    bounds = _fieller((float(part[0]), float(whole[0])), (of_part, of_both, of_whole), t)
    return bounds and Interval(100 * value, 100 * bounds[0], 100 * bounds[1], BOTH if known else SENTENCES)


def _fieller(
    values: tuple[float, float], variances: tuple[float, float, float], t: float
) -> tuple[float, float] | None:
    """Return the bounds of the first value over the second (Fieller 1954), or None where the interval has no end.

    `variances` are those of the first value, of both together and of the second.
    """
    (part, whole), (of_part, of_both, of_whole) = values, variances
    a = whole**2 - t**2 * of_whole
    b = part * whole - t**2 * of_both
    c = part**2 - t**2 * of_part
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b**2 - a * c))
    return (b - root) / a, (b + root) / a


def corrected(found: Sequence[Interval]) -> list[Interval]:
    """Return the comparisons of one page with `p_holm` (Holm 1979); those without a `p` stay as they are."""
    tested = sorted((interval.p, place) for place, interval in enumerate(found) if interval.p is not None)
    adjusted, most = list(found), 0.0
    for rank, (p, place) in enumerate(tested):
        most = max(most, min(1.0, p * (len(tested) - rank)))
        adjusted[place] = replace(found[place], p_holm=most)
    return adjusted


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation; nan where there are too few values."""
    mean = fmean(values) if values else math.nan
    return mean, stdev(values) if len(values) > 1 else math.nan


def _variance(draws: Draws) -> float:
    return float(np.var(draws[1:], ddof=1))


def _quantile(freedom: float) -> float:
    """Return the two-sided quantile of Student's t at LEVEL."""
    return float(stdtrit(freedom, 1 - LEVEL / 2))


def _p(value: float, error: float, freedom: float) -> float:
    if error == 0:
        return 0.0 if value else 1.0
    return float(2 * stdtr(freedom, -abs(value) / error))
