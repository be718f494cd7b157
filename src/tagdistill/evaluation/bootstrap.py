"""A paired bootstrap over test sentences: the scores of many models on the same resampled test sets."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagdistill.data.span_counts import Counts, f1
from tagdistill.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DRAWS = 10_000  # the bounds of an interval are then within 2 % of its half-width, most of the time
MAX_BLOCK_CELLS = 4_000_000  # of a block of resampling weights: 16 MB
MAX_EXACT = 2**24  # whole numbers below are exact in float32, in whatever order they are added
Draws = NDArray[np.float64]  # [draws + 1]: the score of the whole test set, then that of every draw


class Bootstrap:
    """Scores of many models on resampled test sets: within a language all models see the same draws (paired).

    `counts[language][model]` is [sentences, 3], see `data.span_counts`. A language's draws depend on its name and on
    `seed` alone, so that adding a language or a model changes no other number. Only languages with one test set, by the
    hashes in `corpora`, see the same draws: those of the first of them. Raises MismatchError where two models were
    scored on different sentences.
    """

    def __init__(
        self,
        counts: Mapping[str, Mapping[str, Counts]],
        *,
        corpora: Mapping[str, str] = MappingProxyType({}),
        draws: int = DRAWS,
        seed: int = 0,
    ) -> None:
        self._counts, self._draws, self._seed = counts, draws, seed
        first: dict[str, str] = {}
        self._drawn_as = {x: first.setdefault(corpora.get(x) or x, x) for x in counts}
        self._scores: dict[str, dict[str, Draws]] = {}

    def score(self, models: Sequence[str], language: str) -> Draws:
        """Return the mean score of some models (the seeds of one system) in each draw."""
        draws: Draws = np.mean([self._language(language)[model] for model in models], axis=0)
        return draws

    def macro(self, models: Mapping[str, Sequence[str]]) -> Draws:
        """Return the mean over languages of each language's mean score over its models."""
        draws: Draws = np.mean([self.score(names, language) for language, names in models.items()], axis=0)
        return draws

    def fewest(self, languages: Iterable[str]) -> int:
        """Return the number of sentences of the smallest test set of some languages."""
        return min(len(next(iter(self._counts[language].values()))) for language in languages)

    def is_bare(self, language: str) -> bool:
        """Return whether a test set has no span: then F1 is 0 whatever is predicted."""
        return not next(iter(self._counts[language].values()))[:, 2].any()

    def _language(self, language: str) -> dict[str, Draws]:
        if language not in self._scores:
            models = self._counts[language]
            same_sentences(models, language)
            drawn = resample(list(models.values()), draws=self._draws, seed=_seed(self._seed, self._drawn_as[language]))
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
    stacked = np.stack(counts, axis=1)  # [sentences, models, 3]
    sentences, models = stacked.shape[:2]
    # The gold counts are those of every model, and tags have as many predicted as gold words.
    columns, place = np.unique(stacked.reshape(sentences, -1), axis=1, return_inverse=True)
    exact = sentences * int(columns.max(initial=0)) < MAX_EXACT
    table = columns.astype(np.float32 if exact else np.float64)
    generator = np.random.default_rng(seed)
    totals = [columns.sum(axis=0, keepdims=True).astype(np.float64)]
    block = max(1, MAX_BLOCK_CELLS // sentences)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        chosen = generator.integers(sentences, size=(rows, sentences)) + np.arange(rows)[:, None] * sentences
        weights = np.bincount(chosen.ravel(), minlength=rows * sentences).reshape(rows, sentences)
        totals.append((weights.astype(table.dtype) @ table).astype(np.float64))
    return f1(np.concatenate(totals)[:, place.ravel()].reshape(-1, models, 3))


def _seed(seed: int, language: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{language}".encode()).digest()[:8], "little")
