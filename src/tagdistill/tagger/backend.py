"""What computes emissions: the interface of an ONNX graph and of a model in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tagdistill.encoders.pieces import Pieces

CPU = "device='cpu'"  # in hints; `open` names the option of the command line instead


class Backend(Protocol):
    """A model that is ready to run."""

    def emissions(
        self, pieces: Pieces, words: Sequence[Sequence[str]], sentences: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Return the emissions (word, label) of some sentences, which have at least one word each.

        `pieces` and `words` are of all sentences, `sentences` are the places of those that are wanted.
        """


def unpadded(emissions: NDArray[np.float32], pieces: Pieces, sentences: Sequence[int]) -> list[NDArray[np.float32]]:
    """Return the rows of (sentence, word, label) that are words."""
    lengths = (pieces.sentences[s + 1] - pieces.sentences[s] for s in sentences)
    return [row[:length] for row, length in zip(emissions, lengths, strict=True)]
