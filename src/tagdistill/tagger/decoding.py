"""From the emissions of a text's sentences to its spans."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tagdistill.data.labels import has_spans, spans, well_formed
from tagdistill.data.transitions import FORBIDDEN, allowed_transitions
from tagdistill.tagger.chain import Chain, Edges, Paths
from tagdistill.tagger.results import Span, Tagged, Tagging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tagdistill.tagger.texts import Text


@dataclass(frozen=True)
class Wanted:
    """What is asked of a call: k best taggings, marginals, well-formed spans only."""

    k_best: int = 0
    marginals: bool = False
    constrained: bool = False


class Candidate(NamedTuple):
    """A labelling of a sentence, its spans (type, start, end, score), and its log probability."""

    labels: tuple[str, ...]
    spans: tuple[tuple[str, int, int, float], ...]
    log_probability: float


class Decoded(NamedTuple):
    """What was decoded of one sentence."""

    best: Candidate
    marginals: NDArray[np.float64] | None  # (word, label)
    k_best: tuple[Candidate, ...]


class Decoder:
    """Decoding for one label list; `edges` are the scores of its chain."""

    def __init__(self, labels: Sequence[str], edges: Edges) -> None:
        self.labels, self.edges = tuple(labels), edges
        self.has_spans = has_spans(self.labels)

    @cached_property
    def _constrained(self) -> Edges:
        allowed = allowed_transitions(self.labels)
        penalties = (np.where(mask, 0.0, FORBIDDEN) for mask in allowed)
        return Edges(*(scores + penalty for scores, penalty in zip(self.edges, penalties, strict=True)))

    def decode(self, sentences: Sequence[NDArray[np.float32]], wanted: Wanted) -> list[Decoded]:
        """Return the labels and spans of sentences of about the same length, by their emissions (word, label)."""
        chain = Chain.of(sentences, self._constrained if wanted.constrained else self.edges)
        paths = chain.top_k(wanted.k_best) if wanted.k_best else None
        found = []
        for row, length in enumerate(chain.lengths.tolist()):
            best = self._candidate(chain, row, chain.best[row, :length].tolist())
            marginals = chain.marginals[row, :length].copy() if wanted.marginals else None
            others = () if paths is None else self._k_best(chain, paths, row, wanted)
            found.append(Decoded(best, marginals, others))
        return found

    def _k_best(self, chain: Chain, paths: Paths, row: int, wanted: Wanted) -> tuple[Candidate, ...]:
        """Return the best labellings of a sentence: fewer than k where there are no more, or no more well-formed."""
        scored = zip(paths.labels[row, :, : chain.lengths[row]].tolist(), paths.log_probabilities[row], strict=True)
        there = [self._candidate(chain, row, path, float(score)) for path, score in scored if score > -np.inf]
        only_whole = wanted.constrained and self.has_spans
        return tuple(each for each in there if not only_whole or well_formed(each.labels))

    def _candidate(self, chain: Chain, row: int, path: list[int], log_probability: float = 0.0) -> Candidate:
        labels = tuple(self.labels[place] for place in path)
        places = spans(labels) if self.has_spans else [(label, at, at + 1) for at, label in enumerate(labels)]
        scored = tuple((kind, at, end, chain.probability(row, at, path[at:end])) for kind, at, end in places)
        return Candidate(labels, scored, log_probability)


def tagged(text: Text, decoded: Sequence[Decoded], wanted: Wanted, labels: int) -> Tagged:
    """Join what was decoded of a text's sentences."""
    ends = np.cumsum([0, *map(len, text.sentences)]).tolist()
    words = text.words
    best = _joined(text, words, ends, [each.best for each in decoded])
    marginals = None
    if wanted.marginals:
        found = (each.marginals for each in decoded if each.marginals is not None)
        marginals = np.concatenate([np.empty((0, labels)), *found])
    taggings: tuple[Tagging, ...] = ()
    if wanted.k_best:
        combined = _combined([each.k_best for each in decoded], wanted.k_best)
        taggings = tuple(_joined(text, words, ends, candidates) for candidates in combined)
    bounds = tuple(pairwise(ends))
    return Tagged(text.text, words, bounds, best.labels, best.spans, marginals, taggings, text.split)


def _joined(text: Text, words: Sequence[tuple[int, int]], ends: list[int], chosen: Sequence[Candidate]) -> Tagging:
    """Return one labelling of each sentence as a labelling of the text."""
    found = []
    for offset, candidate in zip(ends, chosen, strict=False):
        for kind, first, end, score in candidate.spans:
            place = offset + first, offset + end
            start, stop = words[place[0]][0], words[place[1] - 1][1]
            found.append(Span(kind, text.text[start:stop], start, stop, score, place))
    probability = float(np.exp(sum(candidate.log_probability for candidate in chosen)))
    return Tagging(probability, tuple(label for each in chosen for label in each.labels), tuple(found))


def _combined(sentences: Sequence[Sequence[Candidate]], k: int) -> list[list[Candidate]]:
    """Return the k best combinations of the sentences' candidates, best first: sentences are independent."""
    found: list[tuple[float, list[Candidate]]] = [(0.0, [])]
    for candidates in sentences:
        longer = [(score + each.log_probability, [*path, each]) for score, path in found for each in candidates]
        found = sorted(longer, key=lambda pair: -pair[0])[:k]
    return [path for _, path in found]
