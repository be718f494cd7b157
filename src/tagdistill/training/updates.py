"""The plan of a training run: the sentences of each update and the weight of its teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Dataset

from tagdistill.distill.dataset import Batch
from tagdistill.errors import DataError
from tagdistill.models.batches import batches_in, endless
from tagdistill.settings.distill import Anneal
from tagdistill.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tagdistill.distill.dataset import Pool
    from tagdistill.settings.base import LossPer
    from tagdistill.settings.training import Training

    # From the lengths of sentences, the words of a batch and a generator to batches without end.
    Draw = Callable[[NDArray[np.int64], int, np.random.Generator], Iterator[NDArray[np.intp]]]


@dataclass(frozen=True)
class Update:
    """One optimiser step: rows of the labelled or the unlabelled pool."""

    labelled: bool
    rows: NDArray[np.intp]
    teacher_weight: float


class UpdateBatch(Batch):
    """What one process computes of an update."""

    teacher_weight: float  # lambda
    share: float  # of the update's sentences, or of their words, 0 to 1


class Updates(Dataset[UpdateBatch]):
    """The batches of a plan: item u is that of update u, so that a resumed run sees the same batches."""

    def __init__(
        self,
        labelled: Pool,
        unlabelled: Pool | None,
        plan: list[Update],
        processes: Processes | None = None,
        *,
        loss_per: LossPer,
    ) -> None:
        """Take the batches of a plan from two pools; of several processes each gets its own share of a batch."""
        self.labelled, self.unlabelled, self.plan = labelled, unlabelled, plan
        self.processes, self.loss_per = processes or Processes(), loss_per

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> UpdateBatch:
        update = self.plan[number]
        pool = self.labelled if update.labelled else self.unlabelled
        assert pool is not None
        weights = pool.lengths[update.rows] if self.loss_per == "word" else np.ones(len(update.rows), np.int64)
        rows, share = self.processes.share(update.rows, weights)
        return {**pool.batch(rows), "teacher_weight": update.teacher_weight, "share": share}


def plan(
    settings: Training,
    labelled: NDArray[np.int64],
    unlabelled: NDArray[np.int64],
    seed: int,
    *,
    distils: bool = False,
    anneal: Anneal | None = None,
    unlabelled_ratio: float = 0.0,
    updates_per_batch: float = 1.0,
    draws: tuple[Draw, Draw] = (endless, endless),
) -> list[Update]:
    """Return all updates of a run, from the lengths of its labelled and unlabelled sentences.

    Every update is one batch, so that objectives are compared at equal updates. If the objective has teachers
    (`distils`), `unlabelled_ratio` unlabelled batches come with each labelled one; the teacher's weight is 1 on those.
    With `epochs` an epoch has `updates_per_batch` updates for each labelled batch, whether or not this objective reads
    unlabelled text. `draws` draw the labelled and the unlabelled batches.
    Raises DataError without labelled sentences.
    """
    if not len(labelled):
        raise DataError("there is no labelled sentence to train on")
    ratio = unlabelled_ratio if distils and len(unlabelled) else 0.0
    in_epoch = batches_in(labelled, settings.batch_words)
    updates = settings.updates or math.ceil((settings.epochs or 1) * in_epoch * max(updates_per_batch, 1 + ratio))
    anneal = anneal or Anneal.model_validate({})
    children = np.random.SeedSequence(seed).spawn(2)
    gold = draws[0](labelled, settings.batch_words, np.random.default_rng(children[0]))
    extra = draws[1](unlabelled, settings.batch_words, np.random.default_rng(children[1]))
    planned: list[Update] = []
    for number in range(updates):
        # Labelled batches are spread evenly: update n is labelled where n / (1 + ratio) passes a whole number.
        done = math.ceil(number / (1 + ratio))
        if math.ceil((number + 1) / (1 + ratio)) > done:
            epoch = done / in_epoch
            weight = _weight(anneal, number, updates, epoch) if distils else 0.0
            planned.append(Update(True, next(gold), weight))
        else:
            planned.append(Update(False, next(extra), 1.0))
    return planned


def _weight(anneal: Anneal, number: int, updates: int, epoch: float) -> float:
    """Return lambda: linear over the updates, or the published code's tau, in per cent of each whole epoch."""
    if anneal.tau is not None:
        return max(0.0, 1.0 - math.floor(epoch) * anneal.tau / 100)
    progress = number / max(1, updates - 1)
    return anneal.start + (anneal.end - anneal.start) * progress
