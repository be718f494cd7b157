"""Whether an exported graph says what the model in torch says, on real text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagdistill.errors import TagdistillError
from tagdistill.tagger.batches import batches
from tagdistill.tagger.chain import Chain, Edges
from tagdistill.tagger.tagger import BATCH_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagdistill.encoders.pieces import WordPieces
    from tagdistill.tagger.backend import Backend

# The largest allowed `Difference.probability`. A wrong graph is at 0.1 and more, whatever its precision.
LIMITS = {"fp32": 1e-3, "fp16": 5e-3, "int8": 5e-2}


@dataclass(frozen=True)
class Difference:
    """How far two models are from each other on some text."""

    words: int
    emissions: float  # the largest difference of any emission
    labels: float  # the share of words with another best label
    probability: float  # the probability that changes labels, on average of all words (total variation of marginals)

    def check(self, precision: str) -> None:
        """Raise TagdistillError if a graph of this precision should be nearer."""
        if not self.probability <= LIMITS[precision]:  # of NaN, too
            what = (
                f"the graph {precision} differs from the model in torch: of {self.words} words {self.labels:.2%} have "
                f"another label, and {self.probability:.3g} of their probability (allowed: {LIMITS[precision]:g})"
            )
            hint = "It was not written. Leave it out of `formats`, and please report it with the name of the encoder."
            raise TagdistillError(what, where="export.formats", hint=hint)


@dataclass(frozen=True)
class Side:
    """A model and its tokenizer."""

    pieces: WordPieces
    backend: Backend


def compare(one: Side, other: Side, edges: Edges, sentences: Sequence[Sequence[str]]) -> Difference:
    """Return how far two models with the same chain are from each other, on sentences of words."""
    inputs = [one.pieces(sentences), other.pieces(sentences)]
    words, largest, labels, moved = 0, 0.0, 0, 0.0
    for rows in batches(inputs[0], BATCH_WORDS["cpu"]):
        sides = zip((one, other), inputs, strict=True)
        left, right = (
            Chain.of(side.backend.emissions(pieces, sentences, rows.tolist()), edges) for side, pieces in sides
        )
        words += int(left.lengths.sum())
        largest = max(largest, float(np.abs(left.emissions - right.emissions).max()))
        labels += int((left.best != right.best).sum())
        moved += float(np.abs(left.marginals - right.marginals).sum()) / 2
    return Difference(words, largest, labels / words, moved / words)
