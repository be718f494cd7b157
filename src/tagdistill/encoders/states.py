"""Run an encoder over tokenised text: the vectors of words, and the states of pieces that a run resumes from."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagdistill.artifacts.scratch import scratch
from tagdistill.encoders.pieces import offsets
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """The states of the pieces of all windows, special ones included.

    Window i has those from ends[i] to ends[i + 1].
    """

    values: NDArray[np.float16]  # [pieces, hidden]
    ends: NDArray[np.int64]  # [windows + 1]


def cache_states(
    pieces: Pieces, encoder: Encoder, layer: int, room: Path | None = None, *, progress: str | None = None
) -> States:
    """Return the states of hidden layer `layer` for every window: what `Encoder.forward_from` resumes from.

    `room`: a folder for temporary files, which they are mapped from; None: they are in memory.
    """
    import torch

    device = next(encoder.parameters()).device
    ends = offsets(pieces.window_lengths)
    states = scratch(room, (int(ends[-1]), encoder.hidden_size), np.float16)
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress):
            there = batch.to(device)
            (found,) = encoder.hidden_states(there.ids, there.seen, [layer])
            for window, row in zip(batch.windows, _halves(found).cpu().numpy(), strict=True):
                states[ends[window] : ends[window + 1]] = row[: ends[window + 1] - ends[window]]
    return States(states, ends)


def batch_states(states: States, batch: Batch) -> Tensor:
    """Return cached states as (batch, piece, hidden), float32, padded with zeros like the batch's `ids`."""
    import torch

    windows = np.array(batch.windows, np.int64)
    found = np.zeros((*batch.ids.shape, states.values.shape[1]), np.float32)
    inside = batch.mask.numpy()
    places = states.ends[windows, None] + np.arange(inside.shape[1])
    found[inside] = states.values[places[inside]]
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


def _with_progress(pieces: Pieces, device: str, label: str | None) -> Iterator[Batch]:
    """Yield the batches; show a bar on a terminal, elsewhere log a line now and then."""
    batches = pieces.batches(*BUDGET.get(device, BUDGET["cpu"]))
    if label is None:
        yield from batches
    elif sys.stderr.isatty():
        yield from _bar(batches, label, len(pieces.ids))
    else:
        yield from _lines(batches, label, len(pieces.ids))


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
