"""Which differences are more than chance: a paired bootstrap over test sentences, and the spread over seeds.

The bootstrap covers the choice of test sentences. It does not cover the choice of training data or of teachers: an
interval for the whole procedure is wider. Intervals are not corrected for the number of comparisons.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagdistill.data.span_counts import Counts, f1
from tagdistill.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DRAWS = 1000
MAX_BLOCK_CELLS = 4_000_000  # of a block of resampling weights: 32 MB
Draws = NDArray[np.float64]  # [draws + 1]: the score of the whole test set, then that of every draw


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0


class Bootstrap:
    """Scores of many models on resampled test sets: within a language all models see the same draws (paired).

    `counts[language][model]` is [sentences, 3], see `data.span_counts`. A language's draws depend on its name and on
    `seed` alone, so that adding a language or a model changes no other number. Raises MismatchError where two models
    were scored on different sentences.
    """

    def __init__(self, counts: Mapping[str, Mapping[str, Counts]], *, draws: int = DRAWS, seed: int = 0) -> None:
        self._counts, self._draws, self._seed = counts, draws, seed
        self._scores: dict[str, dict[str, Draws]] = {}

    def score(self, models: Sequence[str], language: str) -> Draws:
        """Return the mean score of some models (the seeds of one system) in each draw."""
        draws: Draws = np.mean([self._language(language)[model] for model in models], axis=0)
        return draws

    def macro(self, models: Mapping[str, Sequence[str]]) -> Draws:
        """Return the mean over languages of each language's mean score over its models."""
        draws: Draws = np.mean([self.score(names, language) for language, names in models.items()], axis=0)
        return draws

    def _language(self, language: str) -> dict[str, Draws]:
        if language not in self._scores:
            models = self._counts[language]
            same_sentences(models, language)
            drawn = resample(list(models.values()), draws=self._draws, seed=_seed(self._seed, language))
            self._scores[language] = dict(zip(models, drawn.T, strict=True))
        return self._scores[language]


def same_sentences(models: Mapping[str, Counts], language: str) -> None:
    """Raise MismatchError unless all models were scored on the same sentences, as far as the gold counts show."""
    first, *others = models
    for other in others:
        if not np.array_equal(models[first][:, 2], models[other][:, 2]):
            raise MismatchError(
                f"{other} and {first} were scored on different sentences of {language!r}",
                hint="Their metrics are of different test sets: evaluate both again.",
            )


def resample(counts: Sequence[Counts], *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """Return the scores [draws + 1, models] of models on one test set: the whole of it, then resampled sentences."""
    table = np.stack(counts, axis=1).astype(np.float64)  # [sentences, models, 3]
    sentences = len(table)
    generator = np.random.default_rng(seed)
    totals = [table.sum(axis=0, keepdims=True)]
    block = max(1, MAX_BLOCK_CELLS // sentences)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        chosen = generator.integers(sentences, size=(rows, sentences)) + np.arange(rows)[:, None] * sentences
        weights = np.bincount(chosen.ravel(), minlength=rows * sentences).reshape(rows, sentences).astype(np.float64)
        totals.append(np.tensordot(weights, table, axes=1))
    return f1(np.concatenate(totals))


def interval(draws: Draws) -> Interval:
    """Return the value and the 95 % percentile interval of its draws; draws that are not finite are left out."""
    sample = draws[1:][np.isfinite(draws[1:])]
    low, high = np.percentile(sample, [2.5, 97.5]) if sample.size else (math.nan, math.nan)
    return Interval(float(draws[0]), float(low), float(high))


def share(part: Draws, whole: Draws) -> Interval:
    """Return `part` as per cent of `whole` with its interval; meant for a `whole` that is clearly above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval(100 * part / whole)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation; nan where there are too few values."""
    mean = fmean(values) if values else math.nan
    return mean, stdev(values) if len(values) > 1 else math.nan


def _seed(seed: int, language: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{language}".encode()).digest()[:8], "little")
