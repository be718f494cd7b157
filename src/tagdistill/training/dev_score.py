"""The score of a model on the dev sets, which several processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagdistill.data.label_rows import LabelRows
from tagdistill.data.span_counts import f1, sentence_counts
from tagdistill.distill.dataset import make_pool, read_source
from tagdistill.errors import DataError
from tagdistill.models.inference import tag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tagdistill.distill.dataset import Pool
    from tagdistill.encoders.pieces import WordPieces
    from tagdistill.models.model import Model
    from tagdistill.training.run import Run
    from tagdistill.training.trainer import Score


def dev_score(run: Run, model: Model, words: WordPieces | None) -> Score:
    """Return the function that scores a model on dev, in per cent.

    Its scores are those of each language, their mean ("macro") and that of all words together ("pooled"). Each process
    labels its part of the sentences, and all return the same scores. Raises DataError for a dev set without labels.
    """
    sets = []
    for files in run.dev:
        source = read_source(files, run.labels, run.stored, room=run.outputs.room)
        if source.labels is None:
            raise DataError("the dev set has no labels", where=str(files.corpus))
        gold = LabelRows(source.labels.numpy(), source.offsets, run.labels)
        sets.append((source.language, gold, make_pool([source], model, words, cache=True, room=run.outputs.room)))
    processes, device = run.machine.processes, run.machine.device

    def score(model: Model) -> dict[str, float]:
        counted = np.stack([_counts(run, model, gold, pool) for _, gold, pool in sets])
        total = np.array(processes.total(counted.astype(float).ravel().tolist(), device)).reshape(counted.shape)
        each = {language: float(f1(counts)) for (language, *_), counts in zip(sets, total, strict=True)}
        return {"macro": sum(each.values()) / len(each), "pooled": float(f1(total.sum(0))), **each}

    return score


def _counts(run: Run, model: Model, gold: LabelRows, pool: Pool) -> NDArray[np.int64]:
    """Return the correct, predicted and gold spans [3] of this process's sentences of a dev set."""
    own = run.machine.processes.part(len(gold))
    lengths = pool.lengths[own]
    found = tag(model, lengths, lambda rows: pool.batch(own[rows]), device=run.machine.device, decode=run.decode)
    ours = LabelRows(found, np.concatenate([[0], np.cumsum(lengths)]), run.labels)
    counts = sentence_counts(run.task, (gold[row] for row in own), ours)
    return np.asarray(counts.sum(0))
