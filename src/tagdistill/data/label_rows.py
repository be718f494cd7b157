"""Labels of many sentences, kept as one small number a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LabelRows(Sequence[list[str]]):
    """The labels of each sentence, which become text when they are asked for.

    `numbers` [words] are places in the label list; sentence i has the words from offsets[i] to offsets[i + 1].
    """

    def __init__(self, numbers: NDArray[Any], offsets: NDArray[np.int64], labels: Sequence[str]) -> None:
        self.numbers, self.offsets, self.names = numbers, offsets, np.array(labels, dtype=object)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, place: int) -> list[str]: ...
    @overload
    def __getitem__(self, place: slice) -> list[list[str]]: ...
    def __getitem__(self, place: int | slice) -> list[str] | list[list[str]]:
        chosen = range(len(self))[place]
        if isinstance(chosen, range):
            return [self[row] for row in chosen]
        found: list[str] = self.names[self.numbers[self.offsets[chosen] : self.offsets[chosen + 1]]].tolist()
        return found
