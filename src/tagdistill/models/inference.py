"""Run a model over many sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagdistill.models.batches import bucketed
from tagdistill.models.model import Model

BATCH_WORDS = 8000
MakeBatch = Callable[[NDArray[np.intp]], dict[str, Any]]


def batches(
    lengths: NDArray[np.int64], make: MakeBatch, device: str, budget: int = BATCH_WORDS
) -> Iterator[tuple[NDArray[np.intp], dict[str, Any]]]:
    """Yield (rows, batch on the device), of like length; rows stand in the batch's order."""
    for rows in bucketed(lengths, budget):
        rows = np.sort(rows)  # a pool's batches are sorted
        yield rows, on_device(make(rows), device)


def on_device(batch: dict[str, Any], device: str | torch.device) -> dict[str, Any]:
    """Return a batch on a device. `lengths` stay on the host, which packs and pads by them."""
    if torch.device(device).type == "cpu":
        return batch
    return {key: value if key == "lengths" else _sent(value, device) for key, value in batch.items()}


def _sent(value: Any, device: str | torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.pin_memory().to(device, non_blocking=True)  # from pageable memory the copy would wait for the GPU
    return value.to(device) if hasattr(value, "to") else value


def tag(
    model: Model, lengths: NDArray[np.int64], make: MakeBatch, *, device: str = "cpu", constrained: bool = False
) -> list[list[int]]:
    """Return the best labels of every sentence, as indices into the model's label list, in the sentences' order."""
    training = model.training
    model.eval()
    found: list[list[int]] = [[] for _ in lengths]
    for rows, batch in batches(lengths, make, device):
        best = model.decode(batch, constrained=constrained).tolist()
        for row, labels in zip(rows, best, strict=True):
            found[row] = labels[: lengths[row]]
    model.train(training)
    return found


@torch.no_grad()
def emissions(model: Model, lengths: NDArray[np.int64], make: MakeBatch, *, device: str = "cpu") -> NDArray[np.float32]:
    """Return the emission scores of all words, float32 [words, labels], sentences one after the other."""
    model.eval()
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    scores = np.zeros((offsets[-1], len(model.tagger.spec.labels)), np.float32)
    for rows, batch in batches(lengths, make, device):
        chunk = model(batch).emissions.float().cpu().numpy()
        for place, row in enumerate(rows):
            scores[offsets[row] : offsets[row + 1]] = chunk[place, : lengths[row]]
    return scores
