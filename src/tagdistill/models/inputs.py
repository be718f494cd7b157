"""What a model reads of a batch of sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tagdistill.encoders.pieces import Batch


class SentenceInputs(TypedDict, total=False):
    """The sentences of a batch: the vectors of a frozen encoder, or what a fine-tuned one needs."""

    vectors: Tensor  # (batch, time, dim) float32
    pieces: Batch
    states: Tensor  # (window, piece, hidden) of the last layer below the tuned ones; computed if absent


class ModelInputs(SentenceInputs):
    """A batch that a model maps to label distributions."""

    lengths: Tensor  # (batch,) int64, always on the host


# From row numbers of a data set to the batch of those sentences, in that order.
MakeInputs = Callable[[NDArray[np.intp]], SentenceInputs]
MakeBatch = Callable[[NDArray[np.intp]], ModelInputs]
