"""What every score is made of: correct, predicted and gold spans of each sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagdistill.data.labels import spans

Sentences = Sequence[Sequence[str]]
Counts = NDArray[np.int64]  # [sentences, 3]: correct, predicted, gold


def sentence_counts(task: str, gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> Counts:
    """Return for each sentence the correct, predicted and gold spans; for tags every word counts as one span.

    So `f1` of the sum is the accuracy of tags and the micro F1 of spans, and a bootstrap need not know the task.
    """
    rows = (_count(task, g, p) for g, p in zip(gold, predicted, strict=True))
    return np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 3)


def _count(task: str, gold: Sequence[str], predicted: Sequence[str]) -> tuple[int, int, int]:
    if task == "pos":
        return sum(g == p for g, p in zip(gold, predicted, strict=True)), len(predicted), len(gold)
    ours, theirs = set(spans(predicted)), set(spans(gold))
    return len(ours & theirs), len(ours), len(theirs)


def f1(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return F1 in per cent of counts whose last axis is correct, predicted, gold; 0 where nothing is there."""
    correct, both = counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.asarray(200.0 * correct / np.maximum(both, 1), np.float64)
