"""What a graph reads of a batch of sentences: its inputs, and how they are made from word pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tagdistill.encoders.pieces import Pieces


PADDING = 16  # pieces, of a batch: so many cost as much time as another call of the graph
PIECES_PER_WORD = 8  # more than text has on average: the bound is for words of many pieces, such as addresses


class Value(NamedTuple):
    """An input or output of a graph."""

    name: str
    dtype: str
    axes: tuple[str | int, ...]


INPUTS = (
    Value("ids", "int64", ("window", "piece")),
    Value("mask", "bool", ("window", "piece")),  # false on padding
    Value("places", "int64", ("pooled",)),  # the pieces that are pooled, as positions in (window * piece)
    Value("cells", "int64", ("pooled",)),  # the word that each is part of, as a position in (sentence * word)
    Value("counts", "int64", ("sentence", "word")),  # pooled pieces of a word; 1 past a sentence's end
    Value("lengths", "int64", ("sentence",)),  # words
)
OUTPUT = Value("emissions", "float32", ("sentence", "word", "label"))


def graph_inputs(pieces: Pieces, sentences: Sequence[int], pooling: str) -> dict[str, NDArray[Any]]:
    """Return the inputs of a graph for some sentences, which have at least one word each.

    `pooling` is mean, first or last: the pieces of a word whose states are averaged.
    """
    windows = pieces.arrays(pieces.windows_of(sentences))
    lengths = np.array([pieces.sentences[s + 1] - pieces.sentences[s] for s in sentences], np.int64)
    time = int(lengths.max())
    # Words stand in the order of the sentences, and within a sentence in its own order.
    inside = np.arange(time) < lengths[:, None]
    cells = np.flatnonzero(inside)
    counts = np.ones(inside.shape, np.int64)
    starts, number = windows.starts, windows.lengths
    if pooling == "mean":
        counts[inside] = number
        steps = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        starts, cells = np.repeat(starts, number) + steps, np.repeat(cells, number)
    elif pooling == "last":
        starts = starts + number - 1
    values = (windows.ids, windows.mask, starts, cells, counts, lengths)
    return {x.name: value for x, value in zip(INPUTS, values, strict=True)}


def batches(pieces: Pieces, words: int) -> list[NDArray[np.intp]]:
    """Split sentences into batches of at most so many words, padding included, of similar numbers of pieces.

    Pieces are what the encoder's time goes into. They are at most `PIECES_PER_WORD` times as many as words, and few of
    them are padding (`PADDING`). A longer sentence is a batch of its own; sentences without words are in none.
    """
    return grouped(np.diff(pieces.sentences), np.diff(pieces.words[pieces.sentences]), words, PADDING)


def grouped(
    lengths: NDArray[np.int64], sizes: NDArray[np.int64], words: int, most_padding: float = np.inf
) -> list[NDArray[np.intp]]:
    """Return the rows of each of `batches`, by the words and the sizes of sentences."""
    order = np.lexsort((lengths, sizes))
    order = order[lengths[order] > 0]
    found, begin, longest, whole = [], 0, 0, 0
    for place, row in enumerate(order):
        longest, count = max(longest, int(lengths[row])), place - begin + 1
        size = int(sizes[row]) * count
        padding = size - whole - int(sizes[row])
        if place > begin and (longest * count > words or size > PIECES_PER_WORD * words or padding > most_padding):
            found.append(order[begin:place])
            begin, longest, whole = place, int(lengths[row]), 0
        whole += int(sizes[row])
    if begin < len(order):
        found.append(order[begin:])
    return found
