"""Targets in Parquet: a teacher's posteriors and its K best label sequences, always at temperature 1.

They are computed from the scores, so that another K reruns no teacher, and another temperature only students.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from tagdistill.artifacts.files import sha256_file
from tagdistill.artifacts.parquet import read_table, write_table
from tagdistill.crf import LinearChain, kernel
from tagdistill.distill.score_table import Scores, flat_list, flat_values, offsets_of, read_scores
from tagdistill.errors import DataError
from tagdistill.models.batches import bucketed, gather

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BATCH_WORDS = 4000
MIN_LOG_PROB = -6e4  # the lowest that float16 holds as a finite number, rounded
MAX_LABELS = 256  # a path has one byte per label


@dataclass(frozen=True)
class Targets:
    """A teacher's distribution over the label sequences of one corpus; sentence i has the words offsets[i:i + 2]."""

    ids: list[str]
    offsets: NDArray[np.int64]  # [sentences + 1]
    log_posterior: NDArray[np.float16]  # [words, labels]
    paths: NDArray[np.uint8]  # [words, k], best first
    path_log_prob: NDArray[np.float32]  # [sentences, k], -inf where a sentence has fewer than k label sequences
    metadata: dict[str, Any]


def export_targets(scores: Path, out: Path, k: int) -> None:
    """Write the targets Parquet of one corpus, with the `k` best paths, from its teacher's scores."""
    source = read_scores(scores)
    metadata = {**source.metadata, "k": k, "scores_sha256": sha256_file(scores), "kind": "targets", "kernel": kernel()}
    write_targets(out, targets_of(source, k, metadata))


def targets_of(scores: Scores, k: int, metadata: dict[str, Any]) -> Targets:
    """Compute posteriors and the k best paths of every sentence, in float64. Raises DataError above 256 labels."""
    words, labels = scores.emissions.shape
    if labels > MAX_LABELS:
        raise DataError(f"{labels} labels, but targets hold one byte per label: {MAX_LABELS} at most")
    log_posterior = np.zeros((words, labels), np.float16)
    paths = np.zeros((words, k), np.uint8)
    log_prob = np.full((len(scores.ids), k), -np.inf, np.float32)
    for rows, chain in chains(scores):
        best = chain.top_k(k)
        marginals = chain.log_marginals.clamp_min(MIN_LOG_PROB).to(torch.float16).numpy()
        labels_of = best.labels.to(torch.uint8).numpy()
        log_prob[rows] = best.log_prob.float().numpy()
        for place, row in enumerate(rows):
            begin, end = scores.offsets[row], scores.offsets[row + 1]
            log_posterior[begin:end] = marginals[place, : end - begin]
            paths[begin:end] = labels_of[place, :, : end - begin].T
    return Targets(scores.ids, scores.offsets, log_posterior, paths, log_prob, metadata)


def chains(scores: Scores) -> Iterator[tuple[NDArray[np.intp], LinearChain]]:
    """Yield the teacher's own distributions, rebuilt from its scores, in length-bucketed float64 batches."""
    transitions, start, end = (torch.from_numpy(a).double() for a in (scores.transitions, scores.start, scores.end))
    emissions = torch.from_numpy(scores.emissions)
    lengths = np.diff(scores.offsets)
    for rows in bucketed(lengths, BATCH_WORDS):
        padded = gather(emissions, scores.offsets, rows, torch.float64)
        yield rows, LinearChain(padded, transitions, torch.from_numpy(lengths[rows]), start=start, end=end)


def write_targets(path: Path, targets: Targets) -> None:
    """Write the targets Parquet: one row per sentence in corpus order."""
    k = targets.paths.shape[1]
    columns = {
        "id": pa.array(targets.ids, pa.string()),
        "length": pa.array(np.diff(targets.offsets), pa.int32()),
        "log_posterior": flat_list(targets.log_posterior, targets.offsets),
        "top_k": _binary(targets.paths, targets.offsets),
        "top_k_log_prob": pa.FixedSizeListArray.from_arrays(pa.array(targets.path_log_prob.reshape(-1)), k),
    }
    write_table(path, columns, targets.metadata, split=["log_posterior.list.element", "top_k_log_prob.list.element"])


def _binary(paths: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.Array:
    # A list<uint8> would be stored as 32-bit integers; a binary cell holds the bytes as they are.
    buffers = [
        None,
        pa.py_buffer((offsets * paths.shape[1]).astype(np.int32)),
        pa.py_buffer(np.ascontiguousarray(paths)),
    ]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def read_targets(path: Path) -> Targets:
    """Read a targets Parquet: one buffer per column, no Python object per word.

    Raises DataError if it cannot be read, MismatchError for another kind or format.
    """
    table, metadata = read_table(path, "targets")
    labels, k = len(metadata["labels"]), metadata["k"]
    return Targets(
        ids=table["id"].to_pylist(),
        offsets=offsets_of(table),
        log_posterior=flat_values(table["log_posterior"]).reshape(-1, labels),
        paths=_bytes(table["top_k"]).reshape(-1, k),
        path_log_prob=flat_values(table["top_k_log_prob"]).reshape(-1, k),
        metadata=metadata,
    )


def _bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    pieces = []
    for chunk in column.chunks:
        offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        pieces.append(np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]])
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint8)


def expected_counts(scores: Scores) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a teacher's expected label counts [words, labels] and transition counts [sentences, labels, labels].

    They are all that the exact structural loss needs of the teacher (Wang et al. 2021, case 1a).
    """
    words, labels = scores.emissions.shape
    unary = np.zeros((words, labels), np.float32)
    pairs = np.zeros((len(scores.ids), labels, labels), np.float32)
    for rows, chain in chains(scores):
        marginals = chain.marginals.float().numpy()
        pairs[rows] = chain.transition_marginals.float().numpy()
        for place, row in enumerate(rows):
            begin, end = scores.offsets[row], scores.offsets[row + 1]
            unary[begin:end] = marginals[place, : end - begin]
    return unary, pairs
