"""Size, reading and batching of the targets file, beside nested lists written by pandas.

    python bench/cache.py --json build/bench/cache.json

The posteriors are made up like a trained tagger's: most words sure, some not. Reader, writer and batches are those of
tagdistill; "pandas" is the same content as lists in a data frame. Reads take turns; times are the least of all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from machine import machine
from numpy.typing import NDArray
from student_data import sentence_lengths

from tagdistill.distill.dataset import Pool, Source
from tagdistill.distill.target_table import MIN_LOG_PROB, Targets, read_targets, write_targets
from tagdistill.models.batches import bucketed

BATCH_WORDS = 2000


def made_up(words: int, labels: int, k: int, seed: int = 0) -> tuple[Targets, NDArray[np.float64]]:
    """Return targets and the exact log-posteriors [words, labels] that they were rounded from."""
    random = np.random.default_rng(seed)
    lengths = sentence_lengths(words, random)
    offsets = np.concatenate([[0], lengths.cumsum()])
    exact = log_posteriors(int(offsets[-1]), labels, random)
    paths, log_prob = best_paths(exact, offsets, k)
    ids = [f"train-{number:06d}" for number in range(1, len(lengths) + 1)]
    metadata = {"labels": [f"L{label}" for label in range(labels)], "k": k, "kind": "targets"}
    rounded = np.maximum(exact, MIN_LOG_PROB).astype(np.float16)
    return Targets(ids, offsets, rounded, paths, log_prob, metadata), exact


def log_posteriors(words: int, labels: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw log-posteriors whose first label is right for 83 % of the words; 87 % of the words are sure."""
    logits = random.normal(size=(words, labels)) * 1.5
    prior = np.full(labels, 0.17 / (labels - 1))
    prior[0] = 0.83
    gold = random.choice(labels, words, p=prior)
    sure = random.random(words) < 0.87
    logits[np.arange(words), gold] += np.where(sure, random.normal(11, 2, words), random.normal(3.5, 2, words))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def best_paths(
    log_posterior: NDArray[np.float64], offsets: NDArray[np.int64], k: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return k paths [words, k], each but the first with another label in one of the least sure words, and scores."""
    order = np.argsort(-log_posterior, 1)
    ranked = np.take_along_axis(log_posterior, order, 1)
    paths = np.repeat(order[:, :1], k, 1)
    log_prob = np.zeros((len(offsets) - 1, k), np.float32)
    for row, (begin, end) in enumerate(itertools.pairwise(offsets)):
        unsure = begin + np.argsort(ranked[begin:end, 0] - ranked[begin:end, 1])[: k - 1]
        log_prob[row] = ranked[begin:end, 0].sum()
        for place in range(1, k):
            word = unsure[(place - 1) % len(unsure)]
            rank = min(1 + (place - 1) // len(unsure), ranked.shape[1] - 1)
            paths[word, place] = order[word, rank]
            log_prob[row, place] -= ranked[word, 0] - ranked[word, rank]
    return paths.astype(np.uint8), log_prob


def divergence(exact: NDArray[np.float64], stored: NDArray[np.float16]) -> tuple[float, float]:
    """Return mean and largest KL(exact || stored) of a word, the stored posterior renormalised."""
    kept = stored.astype(np.float64)
    kept -= np.log(np.exp(kept).sum(1, keepdims=True))
    found = (np.exp(exact) * (exact - kept)).sum(1)
    return float(found.mean()), float(found.max())


def write_nested(path: Path, targets: Targets, exact: NDArray[np.float64]) -> None:
    """The same content, unrounded, as a data frame of nested lists, as pandas writes it."""
    posterior = np.exp(exact)
    spans = list(itertools.pairwise(targets.offsets))
    frame = pd.DataFrame(
        {
            "id": targets.ids,
            "posterior": [posterior[begin:end].tolist() for begin, end in spans],
            "paths": [targets.paths[begin:end].T.tolist() for begin, end in spans],
            "weights": list(targets.path_log_prob),
        }
    )
    frame.to_parquet(path)


def read_nested(path: Path) -> tuple[Any, ...]:
    frame = pd.read_parquet(path)
    posterior = np.concatenate([np.stack(list(rows)) for rows in frame["posterior"]])
    paths = np.concatenate([np.stack(list(rows)).T for rows in frame["paths"]])
    return frame["id"].tolist(), posterior, paths, np.stack(list(frame["weights"]))


def pool_of(targets: Targets) -> Pool:
    """Return the pool that a student draws from, with what its teacher says and nothing else."""
    source = Source(
        "made up",
        tokens=[],
        offsets=targets.offsets,
        per_word={
            "log_posterior": torch.from_numpy(targets.log_posterior.copy()),
            "paths": torch.from_numpy(targets.paths.copy()),
        },
        per_sentence={"path_log_prob": torch.from_numpy(targets.path_log_prob.copy())},
    )
    return Pool([source], inputs=lambda rows: {})


def seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def draw(pool: Pool) -> None:
    """Make every padded batch of one shuffled pass."""
    for rows in bucketed(pool.lengths, BATCH_WORDS, np.random.default_rng(0)):
        pool.batch(rows)


def measure(words: int, labels: int, k: int, rounds: int) -> dict[str, Any]:
    targets, exact = made_up(words, labels, k)
    with tempfile.TemporaryDirectory() as folder:
        ours, again, nested = (Path(folder) / name for name in ("ours.parquet", "again.parquet", "nested.parquet"))
        written = [seconds(lambda path=path: write_targets(path, targets)) for path in (ours, again)]
        write_nested(nested, targets, exact)
        reads = [(seconds(lambda: read_targets(ours)), seconds(lambda: read_nested(nested))) for _ in range(rounds)]
        read = read_targets(ours)
        pool = pool_of(read)
        passes = [seconds(lambda: draw(pool)) for _ in range(rounds)]
        assert read.ids == targets.ids and (read.paths == targets.paths).all()
        mean, largest = divergence(exact, read.log_posterior)
        count = int(targets.offsets[-1])
        return {
            "words": count,
            "sentences": len(targets.ids),
            "labels": labels,
            "k": k,
            "bytes_per_word": ours.stat().st_size / count,
            "nested_bytes_per_word": nested.stat().st_size / count,
            "write_ms": 1e3 * min(written),
            "read_ms": 1e3 * min(mine for mine, _ in reads),
            "nested_read_ms": 1e3 * min(theirs for _, theirs in reads),
            "sentences_per_second": len(targets.ids) / min(passes),
            "kl_mean": mean,
            "kl_largest": largest,
            "identical": ours.read_bytes() == again.read_bytes(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=17)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.words, options.labels, options.k, options.rounds)
    for name, value in found.items():
        print(f"{name:22s} {value}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**machine(), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
