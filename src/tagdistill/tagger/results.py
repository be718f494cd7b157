"""What a tagger says of a text: spans or tagged words, with offsets and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from tagdistill.tagger.splitting import GIVEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagdistill.tagger.splitting import Offsets


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled part of a text: `text` is `TEXT[start:end]` of the very string that was given.

    `score` is the probability, under the model, that just these words have just this label; `words` are the places of
    its first word and of the one after its last.
    """

    label: str
    text: str
    start: int
    end: int
    score: float
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tagging:
    """One of the k best labellings of a whole text, with its probability."""

    probability: float
    labels: tuple[str, ...]  # of each word
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Tagged(Sequence[Span]):
    """A text and its spans: a sequence of them; with a tag set, one for each word.

    `text` is the given string, of words that were given their joining by blanks; `words` are their offsets in it,
    `sentences` the places of the first word and of the one after the last of each sentence, `labels` the labels of the
    words as the model has them (BIOES). `marginals` (word, label) and `taggings` are there if they were asked for.
    `split` says how the text was split into words: the model's way (`tagger.json`), or `given`.
    """

    text: str
    words: tuple[Offsets, ...]
    sentences: tuple[tuple[int, int], ...]
    labels: tuple[str, ...]
    spans: tuple[Span, ...]
    marginals: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    taggings: tuple[Tagging, ...] = field(default=(), repr=False)
    split: str = field(default=GIVEN, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, place: int) -> Span: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Span]: ...
    def __getitem__(self, place: int | slice) -> Span | Sequence[Span]:
        return self.spans[place]
