"""Exact inference for linear chains in numpy: what labelling text needs of `tagdistill.crf`, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Labels = NDArray[np.int64]


class Edges(NamedTuple):
    """The scores of a chain that do not depend on the text."""

    start: Scores  # (label,)
    transitions: Scores  # (label, label), [from, to]
    end: Scores  # (label,)


class Paths(NamedTuple):
    """The k best label sequences of each sentence, best first; one that does not exist has the log probability -inf."""

    labels: Labels  # (batch, k, time), 0 past a sentence's end
    log_probabilities: Scores  # (batch, k)


@dataclass(frozen=True)
class Chain:
    """The distributions over the label sequences of some sentences, in float64.

    `emissions` are (batch, time, label), `lengths` (batch,) count at least one word each; what stands past a sentence's
    end is never read.
    """

    emissions: Scores
    lengths: Labels
    edges: Edges

    @classmethod
    def of(cls, sentences: Sequence[NDArray[np.floating]], edges: Edges) -> Chain:
        """Return the chain of sentences whose emissions are (words, label) each."""
        lengths = np.array([len(sentence) for sentence in sentences], np.int64)
        emissions = np.zeros((len(sentences), int(lengths.max()), sentences[0].shape[1]))
        for row, sentence in zip(emissions, sentences, strict=True):
            row[: len(sentence)] = sentence
        return cls(emissions, lengths, edges)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        return np.arange(len(self.lengths))

    @cached_property
    def log_partition(self) -> Scores:
        """The logarithm of the sum of all label sequences' weights (batch,)."""
        return _logsumexp(self._prefixes[self._rows, self.lengths - 1] + self.edges.end, axis=-1)

    @cached_property
    def _prefixes(self) -> Scores:
        """Log weights of all beginnings that end with a label at a word (batch, time, label), its emission included."""
        found = np.empty_like(self.emissions)
        found[:, 0] = self.emissions[:, 0] + self.edges.start
        for step in range(1, found.shape[1]):
            before = found[:, step - 1, :, None] + self.edges.transitions
            found[:, step] = _logsumexp(before, axis=1) + self.emissions[:, step]
        return found

    @cached_property
    def _suffixes(self) -> Scores:
        """Log weights of all that follows a label at a word (batch, time, label), its emission not included."""
        found = np.empty_like(self.emissions)
        for step in reversed(range(found.shape[1])):
            found[:, step] = self.edges.end
            if step + 1 < found.shape[1]:
                after = self.edges.transitions + (self.emissions[:, step + 1] + found[:, step + 1])[:, None]
                inside = (self.lengths > step + 1)[:, None]
                found[:, step] = np.where(inside, _logsumexp(after, axis=2), found[:, step])
        return found

    @cached_property
    def marginals(self) -> Scores:
        """The probability of each label at each word (batch, time, label), 0 past a sentence's end."""
        scores = self._prefixes + self._suffixes - self.log_partition[:, None, None]
        scores[np.arange(scores.shape[1]) >= self.lengths[:, None]] = -np.inf  # before `exp`, which would overflow
        found: Scores = np.exp(scores)
        return found

    def probability(self, sentence: int, start: int, labels: Sequence[int]) -> float:
        """Return the probability that the words from `start` on have exactly these labels, whatever the others have."""
        score = self._prefixes[sentence, start, labels[0]]
        for step, (left, right) in enumerate(pairwise(labels), start + 1):
            score += self.edges.transitions[left, right] + self.emissions[sentence, step, right]
        score += self._suffixes[sentence, start + len(labels) - 1, labels[-1]]
        return float(np.exp(score - self.log_partition[sentence]))

    @cached_property
    def best(self) -> Labels:
        """The best label sequences (batch, time), 0 past a sentence's end."""
        scores: Scores = self.emissions[:, 0] + self.edges.start
        back: Labels = np.zeros(self.emissions.shape, np.int64)
        for step in range(1, back.shape[1]):
            before = scores[:, :, None] + self.edges.transitions
            back[:, step] = before.argmax(1)
            moved = np.take_along_axis(before, back[:, step][:, None], 1)[:, 0] + self.emissions[:, step]
            scores = np.where((self.lengths > step)[:, None], moved, scores)
        return self._followed(back[..., None], (scores + self.edges.end).argmax(1)[:, None])[:, 0]

    def top_k(self, k: int) -> Paths:
        """Return the k best label sequences of each sentence."""
        batch, time, count = self.emissions.shape
        scores = np.full((batch, count, k), -np.inf)
        scores[:, :, 0] = self.emissions[:, 0] + self.edges.start
        back = np.zeros((batch, time, count, k), np.int64)  # states: label * k + rank
        for step in range(1, time):
            before = scores[..., None] + self.edges.transitions[:, None]  # (batch, from, rank, to)
            moved, back[:, step] = _largest(before.reshape(batch, count * k, count), k)
            moved = moved + self.emissions[:, step, :, None]
            scores = np.where((self.lengths > step)[:, None, None], moved, scores)
        final, states = _largest((scores + self.edges.end[:, None]).reshape(batch, count * k, 1), k)
        return Paths(self._followed(back, states[:, 0]), final[:, 0] - self.log_partition[:, None])

    def _followed(self, back: Labels, states: Labels) -> Labels:
        """Return the labels (batch, n, time) of the paths that end in `states` (batch, n), each label * k + rank."""
        k = back.shape[3]
        found = np.zeros((*states.shape, back.shape[1]), np.int64)
        for step in reversed(range(back.shape[1])):
            inside = (self.lengths > step)[:, None]
            found[:, :, step] = np.where(inside, states // k, 0)
            before = back[self._rows[:, None], step, states // k, states % k]
            states = np.where(inside & (step > 0), before, states)
        return found


def _largest(values: Scores, k: int) -> tuple[Scores, Labels]:
    """Return the k largest of (batch, from, to) over `from`, as (batch, to, k), and where they are; ties: the first."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(values, order, 1).transpose(0, 2, 1), order.transpose(0, 2, 1)


def _logsumexp(values: Scores, axis: int) -> Scores:
    largest = values.max(axis=axis, keepdims=True)
    total: Scores = np.log(np.exp(values - largest).sum(axis=axis)) + largest.squeeze(axis)
    return total
