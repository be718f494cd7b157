"""Run an encoder over tokenised text: the vectors of words, and the states of pieces that a run resumes from."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagdistill.encoders.pieces import offsets
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from tagdistill.encoders.load import Encoder
    from tagdistill.encoders.pieces import Batch, Pieces
    from tagdistill.settings.encoder import EncoderSettings

log = logging.getLogger(__name__)
BUDGET = {"cpu": (2000, 32), "cuda": (32768, 1024)}  # pieces with padding, windows in a batch
REPORT_SECONDS = 15


def encode_pieces(
    pieces: Pieces, encoder: Encoder, settings: EncoderSettings, *, progress: str | None = None
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield batches, longest windows first, each with its words' vectors (word, dim), float16, on the CPU.

    Vectors of layers to mix stand beside one another: dim is their number times the hidden size.
    """
    import torch

    from tagdistill.encoders.pooling import combined, pool

    device = next(encoder.parameters()).device
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress):
            there = batch.to(device)
            states = encoder.hidden_states(there.ids, there.seen, settings.taps)
            vectors = pool(combined(states, mixed=bool(settings.mixed)), there, settings.pooling)
            yield batch, _halves(vectors).cpu()


@dataclass(frozen=True)
class States:
    """The states of the pieces of all windows, special ones included: those of one text after those of another.

    Window i has those from ends[i] to ends[i + 1].
    """

    parts: Sequence[NDArray[np.float16]]  # of each text [pieces, hidden]
    ends: NDArray[np.int64]  # [windows + 1]

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the states of some pieces, [n, hidden], by their places."""
        if len(self.parts) == 1:
            return self.parts[0][places]
        starts = offsets([len(part) for part in self.parts])
        numbers = np.searchsorted(starts, places, side="right") - 1
        found = np.empty((len(places), self.parts[0].shape[1]), np.float16)
        for number in np.unique(numbers):
            inside = numbers == number
            found[inside] = self.parts[number][places[inside] - starts[number]]
        return found


def fill_states(
    out: NDArray[np.float16],
    pieces: Pieces,
    encoder: Encoder,
    layer: int,
    *,
    windows: range | None = None,
    progress: str | None = None,
) -> None:
    """Compute the states of hidden layer `layer`, [pieces, hidden]: what `Encoder.forward_from` resumes from.

    `windows`: those whose pieces `out` takes, one after another; None: all.
    """
    import torch

    device = next(encoder.parameters()).device
    first = 0 if windows is None else windows.start
    ends = offsets(pieces.window_lengths[first:])
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress, windows):
            there = batch.to(device)
            (found,) = encoder.hidden_states(there.ids, there.seen, [layer])
            for window, row in zip(batch.windows, _halves(found).cpu().numpy(), strict=True):
                begin, end = ends[window - first], ends[window - first + 1]
                out[begin:end] = row[: end - begin]


def batch_states(states: States, batch: Batch) -> Tensor:
    """Return the states of a batch's windows as (batch, piece, hidden), float32; padding is 0."""
    import torch

    windows = np.array(batch.windows, np.int64)
    found = np.zeros((*batch.ids.shape, states.parts[0].shape[1]), np.float32)
    inside = batch.mask.numpy()
    places = states.ends[windows, None] + np.arange(inside.shape[1])
    found[inside] = states[places[inside]]
    return torch.from_numpy(found)


def _halves(values: Tensor) -> Tensor:
    """Return float16 values; an encoder whose states leave that range cannot be stored so."""
    halves = values.half()
    if not halves.isfinite().all():
        raise TagdistillError(
            f"the encoder's states are not finite in float16 (largest value {values.abs().max():.3g})",
            where="encoder.tap",
            hint="Choose another layer.",
        )
    return halves


def _with_progress(pieces: Pieces, device: str, label: str | None, windows: range | None = None) -> Iterator[Batch]:
    """Yield the batches; show a bar on a terminal, elsewhere log a line now and then."""
    batches = pieces.batches(*BUDGET.get(device, BUDGET["cpu"]), windows)
    every = range(len(pieces.windows) - 1) if windows is None else windows
    total = int(pieces.words[pieces.windows[every.stop]] - pieces.words[pieces.windows[every.start]])
    if label is None:
        yield from batches
    elif sys.stderr.isatty():
        yield from _bar(batches, label, total)
    else:
        yield from _lines(batches, label, total)


def _bar(batches: Iterable[Batch], label: str, total: int) -> Iterator[Batch]:
    from tqdm import tqdm

    with tqdm(total=total, desc=Path(label).stem, unit=" pieces", unit_scale=True) as bar:
        for batch in batches:
            yield batch
            bar.update(int(batch.lengths.sum()))


def _lines(batches: Iterable[Batch], label: str, total: int) -> Iterator[Batch]:
    done, last = 0, time.monotonic()
    for batch in batches:
        yield batch
        done += int(batch.lengths.sum())
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            log.info("%s: %d of %d pieces (%.0f%%)", label, done, total, 100 * done / total)
