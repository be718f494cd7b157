"""Export targets: a teacher's posteriors and its K best label sequences, computed from its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tagdistill.artifacts.files import sha256_file
from tagdistill.artifacts.scratch import scratch
from tagdistill.crf import kernel
from tagdistill.distill.score_table import Scores, read_scores
from tagdistill.distill.target_table import MIN_LOG_PROB, Targets, write_targets
from tagdistill.distill.teacher_chains import chains
from tagdistill.errors import DataError
from tagdistill.settings.objectives import MAX_LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float, Int
    from numpy.typing import NDArray


def export_targets(scores: Path, out: Path, k: int) -> None:
    """Write the targets Parquet of one corpus, with the `k` best paths, from its teacher's scores."""
    source = read_scores(scores, out.parent)
    metadata = {**source.metadata, "k": k, "scores_sha256": sha256_file(scores), "kind": "targets", "kernel": kernel()}
    write_targets(out, targets_of(source, k, metadata, out.parent))


def targets_of(scores: Scores, k: int, metadata: dict[str, Any], room: Path | None = None) -> Targets:
    """Compute posteriors and the k best paths of every sentence, in float64. Raises DataError above 256 labels.

    `room`: a folder for temporary files, which the targets are mapped from; None: they are in memory.
    """
    targets = empty_targets(scores, k, metadata, room)
    for rows, chain in chains(scores):
        best = chain.top_k(k)
        fill(targets, rows, chain.log_marginals, best.labels, best.log_prob)
    return targets


def empty_targets(scores: Scores, k: int, metadata: dict[str, Any], room: Path | None) -> Targets:
    """Return targets to be filled, as `targets_of` does."""
    words, labels = scores.emissions.shape
    if labels > MAX_LABELS:
        raise DataError(f"{labels} labels, but targets hold one byte per label: {MAX_LABELS} at most")
    log_posterior = scratch(room, (words, labels), np.float16)
    paths = scratch(room, (words, k), np.uint8)
    log_prob = scratch(room, (len(scores.ids), k), np.float32)
    return Targets(scores.ids, scores.offsets, log_posterior, paths, log_prob, metadata)


def fill(
    targets: Targets,
    rows: NDArray[np.intp],
    log_marginals: Float[Tensor, "batch time label"],
    labels: Int[Tensor, "batch k time"],
    log_prob: Float[Tensor, "batch k"],
) -> None:
    """Set the targets of some sentences."""
    marginals = log_marginals.clamp_min(MIN_LOG_PROB).to(torch.float16).numpy()
    labels_of = labels.to(torch.uint8).numpy()
    targets.path_log_prob[rows] = log_prob.float().numpy()
    for place, row in enumerate(rows):
        begin, end = targets.offsets[row], targets.offsets[row + 1]
        targets.log_posterior[begin:end] = marginals[place, : end - begin]
        targets.paths[begin:end] = labels_of[place, :, : end - begin].T
