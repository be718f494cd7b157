"""Targets of several teachers: of the average of their distributions, p(y) = sum over teachers of w * p_teacher(y).

Posteriors are averages of posteriors, exactly. The average of several chains is no chain, so its best label sequences
are found among those of each teacher: a sequence that is not among the m best of any teacher has at most the
probability sum of w * p_teacher(m-th best), so that the k best are known once the k-th of those found has no less.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tagdistill.artifacts.files import check_belongs, sha256_file, sha256_json
from tagdistill.crf import LinearChain, kernel
from tagdistill.distill.export_targets import empty_targets, fill
from tagdistill.distill.score_table import Scores, read_scores
from tagdistill.distill.target_table import Targets, write_targets
from tagdistill.distill.teacher_chains import chain_of, one_chain_each
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import Float, Int
    from numpy.typing import NDArray

log = logging.getLogger(__name__)
MAX_CANDIDATES = 1024  # of a teacher, in a sentence
SAME = ("labels", "language", "decoder", "corpus_sha256")


def average_targets(scores: Sequence[Path], weights: Sequence[float], out: Path, k: int) -> None:
    """Write the targets Parquet of one corpus, with the `k` best paths, from the scores of several teachers.

    Only the ratios of `weights` count. Raises TagdistillError for weights that are not those of the teachers,
    MismatchError for scores of different texts, labels or kinds of teachers.
    """
    if len(weights) != len(scores) or not all(0 < weight < float("inf") for weight in weights):
        raise TagdistillError(f"{len(scores)} positive numbers are needed, one for each teacher", where="--weights")
    read = [read_scores(path, out.parent) for path in scores]
    first = read[0].metadata
    for path, one in zip(scores[1:], read[1:], strict=True):
        check_belongs(path, one.metadata, **{key: first[key] for key in SAME})
    shares = [weight / sum(weights) for weight in weights]
    teachers = [one.metadata["teacher_sha256"] for one in read]
    metadata = {
        **first,
        "teacher_sha256": sha256_json([teachers, shares]),
        "teachers": teachers,
        "weights": shares,
        "k": k,
        "scores_sha256": sha256_json([sha256_file(path) for path in scores]),
        "kind": "targets",
        "kernel": kernel(),
    }
    targets, unproven = targets_of_average(read, shares, k, metadata, out.parent)
    if unproven:
        log.warning(
            "%s: in %d of %d sentences a sequence that is none of the %d best of any teacher may be among the %d best "
            "of their average; the probabilities of those that were found are exact",
            *(out, unproven, len(targets.ids), MAX_CANDIDATES, k),
        )
    targets.metadata["unproven_sentences"] = unproven
    write_targets(out, targets)


def targets_of_average(
    scores: Sequence[Scores], shares: Sequence[float], k: int, metadata: dict[str, Any], room: Path | None = None
) -> tuple[Targets, int]:
    """Compute posteriors and the k best paths of the average of several teachers, in float64.

    `shares` are their weights, with sum 1; `room` is as in `targets_of`. Returns also in how many sentences the paths
    are not proven to be the best.
    """
    targets, unproven = empty_targets(scores[0], k, metadata, room), 0
    for rows in one_chain_each(scores):
        every = [chain_of(one, rows) for one in scores]
        labels, log_prob, proven = _best(every, shares, k, k)
        for place in np.flatnonzero(~proven):  # one by one: they may need many candidates
            alone = [chain_of(one, rows[place : place + 1]) for one in scores]
            found = _proven_best(alone, shares, k)
            labels[place, :, : found.labels.shape[2]], log_prob[place] = found.labels[0], found.log_prob[0]
            unproven += not found.proven[0]
        fill(targets, rows, averaged([chain.log_marginals for chain in every], shares), labels, log_prob)
    return targets, unproven


def averaged(log_probs: Sequence[Float[Tensor, "*shape"]], shares: Sequence[float]) -> Float[Tensor, "*shape"]:
    """Return the logarithm of the average of probabilities, given their logarithms."""
    weights = torch.tensor(shares, dtype=torch.float64).log()
    return torch.stack([values + weight for values, weight in zip(log_probs, weights, strict=True)]).logsumexp(0)


class Best(NamedTuple):
    """The best paths of an average among some, best first, and whether no other path is better than the last."""

    labels: Int[Tensor, "batch k time"]
    log_prob: Float[Tensor, "batch k"]
    proven: NDArray[np.bool_]  # [batch]


def _proven_best(chains_: Sequence[LinearChain], shares: Sequence[float], k: int) -> Best:
    candidates = 2 * k
    while not (found := _best(chains_, shares, k, candidates)).proven.all() and candidates < MAX_CANDIDATES:
        candidates = min(2 * candidates, MAX_CANDIDATES)
    return found


def _best(chains_: Sequence[LinearChain], shares: Sequence[float], k: int, candidates: int) -> Best:
    """Return the k best paths among so many best ones of each teacher."""
    tops = [chain.top_k(candidates) for chain in chains_]
    paths = torch.cat([top.labels for top in tops], 1)
    log_prob = averaged([chain.log_prob_of_paths(paths) for chain in chains_], shares)
    there = torch.cat([top.log_prob for top in tops], 1) > -torch.inf
    others = averaged([top.log_prob[:, -1] for top in tops], shares)  # at most that of any path that is not there
    labels = torch.zeros(len(paths), k, paths.shape[2], dtype=paths.dtype)
    best = torch.full((len(paths), k), -torch.inf, dtype=torch.float64)
    for row, length in enumerate(chains_[0].lengths.tolist()):
        own, first = np.unique(paths[row, there[row], :length].numpy(), axis=0, return_index=True)
        values = log_prob[row, there[row]].numpy()[first]
        order = np.argsort(-values, kind="stable")[:k]
        labels[row, : len(order), :length] = torch.from_numpy(own[order])
        best[row, : len(order)] = torch.from_numpy(values[order])
    return Best(labels, best, (best[:, -1] >= others).numpy())
