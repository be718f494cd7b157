"""Experiments drawn at random: test sets, and students of objectives that are equal or of which one is better.

Scores and variances are those that were measured; what comes out goes through the code of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tagdistill.data.span_counts import f1
from tagdistill.evaluation.bootstrap import Bootstrap
from tagdistill.evaluation.significance import LEVEL, Interval, Score, corrected, difference

OBJECTIVES = ("baseline", "posterior", "structural", "top_wk")
HARD = 8.0  # spread of how hard words are: models of one kind err on the same ones
TASTE = 0.2  # and the part of it in which two objectives differ


@dataclass(frozen=True)
class Kind:
    """A kind of experiment: its test sets and how far its students are apart, in points."""

    name: str
    score: float
    languages: int
    sentences: int
    items: float  # words that are tagged, or spans, of a sentence
    spans: bool
    shared: float  # standard deviation over seeds that all languages have in common
    own: float  # and that of each language
    effects: tuple[float, float]  # true differences whose detection is counted


KINDS = (
    Kind("tags, in-language", 89.0, 8, 300, 16, False, 0.1, 0.15, (0.2, 0.4)),
    Kind("tags, zero-shot", 82.0, 10, 300, 16, False, 0.15, 0.3, (0.4, 0.8)),
    Kind("spans, in-language", 79.0, 4, 500, 1.4, True, 0.4, 0.6, (1.0, 2.0)),
)
Models = dict[str, NDArray[np.int64]]  # counts [sentences, 3] of each model, named objective/seed


class World:
    """Test sets of one kind, and students of equal objectives on them."""

    def __init__(self, kind: Kind, generator: np.random.Generator) -> None:
        self.kind, self.generator = kind, generator
        grid = np.linspace(-4, 4, 801) * HARD
        weights = np.exp(-((grid / HARD) ** 2) / 2)
        self.centre = _solve(
            lambda centre: float(np.average(_sigmoid(centre + grid), weights=weights)), kind.score / 100
        )
        share = _sigmoid(self.centre + grid)
        self.slope = 100 * float(np.average(share * (1 - share), weights=weights))  # points of a step of 1

    def counts(self, seeds: int, gain: float = 0.0) -> dict[str, Models]:
        """Return the counts of all students in each language; the second objective is better by `gain` points."""
        shared = self.generator.normal(0, self.kind.shared, (len(OBJECTIVES), seeds))
        return {f"l{number}": self._language(shared, gain) for number in range(self.kind.languages)}

    def _language(self, shared: NDArray[np.float64], gain: float) -> Models:
        kind, draw = self.kind, self.generator
        gold = (
            draw.poisson(kind.items, kind.sentences)
            if kind.spans
            else draw.integers(4, 2 * kind.items - 3, kind.sentences)
        )
        easy = draw.normal(size=int(gold.sum()))
        sentence = np.repeat(np.arange(kind.sentences), gold)
        points = shared + draw.normal(0, kind.own, shared.shape)
        points[1] += gain
        models = {}
        for place, name in enumerate(OBJECTIVES):
            # Two objectives that differ do so on words of their own.
            own = (easy + TASTE * draw.normal(size=len(easy))) / np.hypot(1, TASTE) if gain and place == 1 else easy
            for seed, step in enumerate(points[place] / self.slope):
                right = draw.random(len(easy)) < _sigmoid(self.centre + HARD * own + step)
                correct = np.bincount(sentence, weights=right, minlength=kind.sentences).astype(np.int64)
                # Of the spans that are missed most are found in part: as many are predicted that are wrong.
                wrong = draw.binomial(gold - correct, 0.9) if kind.spans else gold - correct
                models[f"{name}/{seed}"] = np.stack([correct, correct + wrong, gold], axis=1)
        return models


def scores(counts: dict[str, Models], seeds: int, draws: int, *, given: bool = False) -> dict[str, Score]:
    """Return the score of each objective; `given`: without the variance over seeds."""
    bootstrap = Bootstrap(counts, draws=draws)
    names = {objective: [f"{objective}/{seed}" for seed in range(seeds)] for objective in OBJECTIVES}
    means = {
        name: fmean(float(f1(models[name].sum(0))) for models in counts.values())
        for name in next(iter(counts.values()))
    }
    return {
        objective: Score(
            bootstrap.macro(dict.fromkeys(counts, models)), tuple(means[model] for model in models), given=given
        )
        for objective, models in names.items()
    }


def page(found: dict[str, Score]) -> list[Interval]:
    """Return the comparisons of a page: every objective against the baseline, corrected together."""
    return corrected([difference(found[name], found["baseline"]) for name in OBJECTIVES[1:]])


def sentences_only(found: dict[str, Score]) -> list[Interval]:
    """Return the comparisons as if the seeds that were trained were all there are."""
    return page({name: Score(score.draws, score.seeds, given=True) for name, score in found.items()})


def trials(kind: Kind, seeds: int, number: int, draws: int, gain: float = 0.0) -> Iterator[dict[str, Score]]:
    """Yield the scores of independent experiments."""
    generator = np.random.default_rng([seeds, KINDS.index(kind), round(10 * gain)])
    for _ in range(number):
        yield scores(World(kind, generator).counts(seeds, gain), seeds, draws)


def false_verdicts(
    pages: list[list[Interval]], wrong: Callable[[Interval], bool] = lambda found: found.verdict in ("better", "worse")
) -> tuple[float, float]:
    """Return the per cent of comparisons, and of pages, that have a false verdict; all objectives are equal."""
    of_pages = [any(map(wrong, intervals)) for intervals in pages]
    of_comparisons = [wrong(interval) for intervals in pages for interval in intervals]
    return 100 * fmean(of_comparisons), 100 * fmean(of_pages)


def alone(found: Interval) -> bool:
    """Return whether a comparison by itself, without correction, is significant."""
    return found.p is not None and found.p < LEVEL


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-values)))


def _solve(function: Callable[[float], float], target: float) -> float:
    """Return where a rising function has a value."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return low
