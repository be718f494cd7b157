"""The plan of a training run: which sentences each update sees and how much its teacher weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Dataset

from tagdistill.errors import DataError
from tagdistill.models.batches import bucketed, endless
from tagdistill.settings.distill import Anneal
from tagdistill.training.processes import Processes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tagdistill.distill.dataset import Batch, Pool
    from tagdistill.settings.training import Training


@dataclass(frozen=True)
class Update:
    """One optimiser step: rows of the labelled or the unlabelled pool."""

    labelled: bool
    rows: NDArray[np.intp]
    teacher_weight: float


class Updates(Dataset):
    """Item u is the batch of update u: a pure function of the seed, so that a resumed run sees the same batches.

    Of several processes each gets its own sentences of the batch; `share` says what part of it they are.
    """

    def __init__(
        self, labelled: Pool, unlabelled: Pool | None, plan: list[Update], processes: Processes | None = None
    ) -> None:
        self.labelled, self.unlabelled, self.plan = labelled, unlabelled, plan
        self.processes = processes or Processes()

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        update = self.plan[number]
        pool = self.labelled if update.labelled else self.unlabelled
        assert pool is not None
        rows, share = self.processes.share(update.rows)
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
) -> list[Update]:
    """Lay out all updates from the sentences' lengths.

    With text without labels, `unlabelled_ratio` of its batches come with each labelled batch; every update is one
    batch, so that objectives are compared at equal updates. Text without labels has the teacher alone: weight 1.
    """
    if not len(labelled):
        raise DataError("there is no labelled sentence to train on")
    ratio = unlabelled_ratio if distils and len(unlabelled) else 0.0
    in_epoch = len(bucketed(labelled, settings.batch_words))
    updates = settings.updates or math.ceil((settings.epochs or 1) * in_epoch * (1 + ratio))
    children = np.random.SeedSequence(seed).spawn(2)
    gold = endless(labelled, settings.batch_words, np.random.default_rng(children[0]))
    plain = endless(unlabelled, settings.batch_words, np.random.default_rng(children[1]))
    laid: list[Update] = []
    for number in range(updates):
        # The labelled batches are spread evenly: number n is labelled where n / (1 + ratio) passes a whole number.
        done, now = math.ceil(number / (1 + ratio)), math.ceil((number + 1) / (1 + ratio))
        if now > done:
            epoch = done / in_epoch
            weight = _weight(anneal or Anneal.model_validate({}), number, updates, epoch) if distils else 0.0
            laid.append(Update(True, next(gold), weight))
        else:
            laid.append(Update(False, next(plain), 1.0))
    return laid


def _weight(anneal: Anneal, number: int, updates: int, epoch: float) -> float:
    """Return lambda: linear over the updates, or the published code's tau, in per cent of each whole epoch."""
    if anneal.tau is not None:
        return max(0.0, 1.0 - math.floor(epoch) * anneal.tau / 100)
    progress = number / max(1, updates - 1)
    return anneal.start + (anneal.end - anneal.start) * progress
