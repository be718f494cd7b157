"""Run an encoder over tokenised text: the vectors of words, and the states of pieces that a run resumes from."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    """Yield batches, longest windows first, each with its words' vectors (word, dim), float16, on the CPU."""
    import torch

    from tagdistill.encoders.pooling import pool

    device = next(encoder.parameters()).device
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress):
            there = batch.to(device)
            states = encoder.hidden_states(there.ids, there.mask, settings.taps)
            mixed = states[0] if len(states) == 1 else torch.stack(states).mean(0)
            vectors = pool(mixed, there, settings.pooling)
            yield batch, _halves(vectors).cpu()


def cache_states(pieces: Pieces, encoder: Encoder, layer: int, *, progress: str | None = None) -> list[Tensor]:
    """Return the states (piece, hidden), float16, of hidden layer `layer` for every window, on the CPU.

    Special pieces are included: with `batch_states` they are what `Encoder.forward_from` resumes from.
    """
    import torch

    device = next(encoder.parameters()).device
    states: dict[int, Tensor] = {}
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress):
            there = batch.to(device)
            (found,) = encoder.hidden_states(there.ids, there.mask, [layer])
            rows = _halves(found).cpu()
            for window, row, mask in zip(batch.windows, rows, batch.mask, strict=True):
                states[window] = row[: int(mask.sum())].clone()
    return [states[window] for window in range(len(pieces.windows) - 1)]


def batch_states(states: Sequence[Tensor], batch: Batch) -> Tensor:
    """Return cached states as (batch, piece, hidden), float32, padded with zeros like the batch's `ids`."""
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence([states[window] for window in batch.windows], batch_first=True).float()


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
