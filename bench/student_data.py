"""A made-up multilingual training set with its teachers' targets, as a student's job holds it in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tagdistill.distill.dataset import Pool, Source
from tagdistill.distill.export_targets import targets_of
from tagdistill.distill.score_table import Scores
from tagdistill.models.batches import bucketed


@dataclass(frozen=True)
class Shape:
    """How large the set and the student are."""

    words: int = 16_000
    languages: int = 4
    width: int = 768  # of a word vector
    labels: int = 17
    k: int = 10
    hidden: int = 256
    batch_words: int = 2000

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"L{label}" for label in range(self.labels))


def sentence_lengths(words: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw sentences of 14 words on average, the longest of 120, until there are `words` words."""
    lengths: list[int] = []
    while sum(lengths) < words:
        lengths.append(int(np.clip(random.gamma(2.0, 7.3), 1, 120)))
    return np.array(lengths)


def make_pool(shape: Shape) -> Pool:
    """Return labelled sentences of several languages with word vectors, posteriors and k best paths."""
    sources = [make_source(shape, f"l{number}", np.random.default_rng(number)) for number in range(shape.languages)]
    return Pool(sources)


def make_source(shape: Shape, language: str, random: np.random.Generator) -> Source:
    lengths = sentence_lengths(shape.words // shape.languages, random)
    offsets = np.concatenate([[0], lengths.cumsum()])
    words, labels = offsets[-1], shape.labels
    emissions = (2 * random.normal(size=(words, labels))).astype(np.float32)
    transitions, start, end = (
        (0.7 * random.normal(size=size)).astype(np.float32) for size in ((labels, labels), labels, labels)
    )
    ids = [str(number) for number in range(len(lengths))]
    targets = targets_of(Scores(ids, offsets, emissions, transitions, start, end, {}), shape.k, {})
    return Source(
        language,
        tokens=[["word"] * n for n in lengths],
        offsets=offsets,
        vectors=torch.from_numpy(random.normal(size=(words, shape.width)).astype(np.float16)),
        labels=torch.from_numpy(random.integers(0, labels, words)),
        per_word={
            "log_posterior": torch.from_numpy(targets.log_posterior),
            "paths": torch.from_numpy(targets.paths),
        },
        per_sentence={"path_log_prob": torch.from_numpy(targets.path_log_prob)},
    )


def batches_of(pool: Pool, shape: Shape) -> list[NDArray[np.intp]]:
    """Cut the pool as the trainer does, the smallest batch (what was left of the words) aside."""
    found = bucketed(pool.lengths, shape.batch_words, np.random.default_rng(0))
    least = min(found, key=lambda rows: int(pool.lengths[rows].sum()))
    return [rows for rows in found if rows is not least] or found
