"""Run a model over many sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from tagdistill.crf import LinearChain
from tagdistill.encoders.pieces import to_device
from tagdistill.models.batches import bucketed
from tagdistill.models.inputs import MakeBatch, ModelInputs
from tagdistill.models.model import Model
from tagdistill.settings.base import Decode

BATCH_WORDS = 8000  # padding included
Inputs = TypeVar("Inputs", bound=ModelInputs)


def batches(
    lengths: NDArray[np.int64], make: Callable[[NDArray[np.intp]], Inputs], device: str, budget: int = BATCH_WORDS
) -> Iterator[tuple[NDArray[np.intp], Inputs]]:
    """Yield rows and their batch on the device, sentences of similar length together; rows are in the batch's order."""
    for bucket in bucketed(lengths, budget):
        rows = np.sort(bucket)  # a pool's batches are sorted
        yield rows, on_device(make(rows), device)


def on_device(batch: Inputs, device: str | torch.device) -> Inputs:
    """Return a batch on a device. `lengths` stay on the host, which pads by them, ready to be copied."""
    if torch.device(device).type == "cpu":
        return batch
    sent = {key: _sent(value, device) for key, value in batch.items() if key != "lengths"}
    return cast("Inputs", {**sent, "lengths": batch["lengths"].pin_memory()})


def _sent(value: Any, device: str | torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _sent(each, device) for key, each in value.items()}
    if isinstance(value, torch.Tensor):
        return to_device(value, device)
    return value.to(device) if hasattr(value, "to") else value


@torch.no_grad()
def distributions(
    model: Model, lengths: NDArray[np.int64], make: Callable[[NDArray[np.intp]], Inputs], device: str
) -> Iterator[tuple[NDArray[np.intp], Inputs, LinearChain]]:
    """Yield rows, their batch, and the model's distribution over the label sequences of each of its sentences."""
    training = model.training
    model.eval()
    try:
        for rows, batch in batches(lengths, make, device):
            yield rows, batch, model(batch)
    finally:
        model.train(training)


def tag(
    model: Model,
    lengths: NDArray[np.int64],
    make: Callable[[NDArray[np.intp]], Inputs],
    *,
    device: str = "cpu",
    decode: Decode = "unconstrained",
) -> NDArray[Any]:
    """Return the best labels of all words, [words], as places in the model's label list, in the sentences' order."""
    return tag_by(model, lengths, make, [decode], device=device)[decode]


def tag_by(
    model: Model,
    lengths: NDArray[np.int64],
    make: Callable[[NDArray[np.intp]], Inputs],
    decodings: Sequence[Decode],
    *,
    device: str = "cpu",
    look: Callable[[LinearChain, Inputs], None] | None = None,
) -> dict[Decode, NDArray[Any]]:
    """Return the best labels of all words by each decoding, from one pass over the text; see `tag`.

    `look` is called with the model's distribution over each batch, and the batch.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kind = np.min_scalar_type(-len(model.tagger.spec.labels))
    predicted: dict[Decode, NDArray[Any]] = {decode: np.zeros(offsets[-1], kind) for decode in decodings}
    for rows, batch, chain in distributions(model, lengths, make, device):
        inside = np.arange(lengths[rows].max()) < lengths[rows, None]
        places = (offsets[rows, None] + np.arange(inside.shape[1]))[inside]
        for decode, found in predicted.items():
            best = model.best_labels(chain, constrained=decode == "constrained")
            found[places] = best.cpu().numpy()[:, : inside.shape[1]][inside]
        if look is not None:
            look(chain, batch)
    return predicted


def emissions(
    model: Model,
    lengths: NDArray[np.int64],
    make: MakeBatch,
    out: NDArray[np.float32] | None = None,
    *,
    device: str = "cpu",
    rows: NDArray[np.intp] | None = None,
) -> NDArray[np.float32]:
    """Return the emission scores of all words, float32 [words, labels], in the sentences' order; `out` takes them.

    `rows`: the numbers of the sentences that are scored (None: all); those of the others stay as they are.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    scores = np.zeros((offsets[-1], len(model.tagger.spec.labels)), np.float32) if out is None else out
    scored = np.arange(len(lengths)) if rows is None else rows
    for places, _, chain in distributions(model, lengths[scored], lambda found: make(scored[found]), device):
        chunk = chain.emissions.float().cpu().numpy()
        for place, row in enumerate(scored[places]):
            scores[offsets[row] : offsets[row + 1]] = chunk[place, : lengths[row]]
    return scores
