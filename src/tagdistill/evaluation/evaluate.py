"""Score one model on all its languages: predictions and metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from tagdistill.artifacts.files import write_json
from tagdistill.crf import kernel
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles, make_pool, read_source
from tagdistill.errors import DataError
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.metrics_file import Role, metrics_record
from tagdistill.evaluation.predictions import write_predictions
from tagdistill.models.inference import batches, tag
from tagdistill.models.load import Loaded, load_tagger

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def evaluate_model(
    model: Path,
    name: str,
    tests: list[CorpusFiles],
    roles: dict[str, Role],
    *,
    predictions: Path,
    metrics: Path,
    own: CorpusFiles | None = None,
    encoder: Path | None = None,
    decode: Literal["unconstrained", "constrained"] = "unconstrained",
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Write `LANG.conll` and `LANG.json` of every test set into two folders.

    `own` is a teacher's training text: its certainty there is written beside that on its own test set. Raises DataError
    for a test set without labels.
    """
    torch.set_num_threads(threads)
    loaded = load_tagger(model, encoder, device)
    known = {"train": certainty(loaded, own, device)} if own else {}
    for files in tests:
        corpus = read_corpus(files.corpus)
        if corpus.labels is None:
            raise DataError("the test set has no labels", where=str(files.corpus))
        found = predict_labels(loaded, files, device, constrained=decode == "constrained")
        scores = score(loaded.config["task"], corpus.labels, found, loaded.labels)
        mine = own is not None and files.language == own.language
        record = metrics_record(
            model=name,
            language=files.language,
            role=roles[files.language],
            seed=loaded.config["seed"],
            decoder=loaded.config["decoder"],
            scores=scores,
            objective=loaded.config["objective"],
            teacher=None if loaded.config["objective"] else loaded.config["languages"][0],
            corpus_sha256=corpus.sha256,
            calibration={**known, "test": certainty(loaded, files, device)} if mine else None,
            extra={"decode": decode, "kernel": kernel()},
        )
        write_predictions(predictions / f"{files.language}.conll", corpus.tokens, corpus.labels, found)
        write_json(metrics / f"{files.language}.json", record)
        log.info("%s on %s: %.2f", name, files.language, record[record["score"]])


def predict_labels(loaded: Loaded, files: CorpusFiles, device: str, *, constrained: bool) -> list[list[str]]:
    """Return the best labels of every sentence of a corpus."""
    source = read_source(files, loaded.labels, encoder=loaded.encoder)
    pool = make_pool([source], loaded.model, loaded.words)
    found = tag(loaded.model, pool.lengths, pool.batch, device=device, constrained=constrained)
    return [[loaded.labels[label] for label in sentence] for sentence in found]


@torch.no_grad()
def certainty(loaded: Loaded, files: CorpusFiles, device: str) -> dict[str, float]:
    """Return word accuracy and mean highest marginal (per cent) and mean entropy (nats per word) on one corpus."""
    source = read_source(files, loaded.labels, encoder=loaded.encoder)
    pool = make_pool([source], loaded.model, loaded.words)
    totals = np.zeros(4)
    for _, batch in batches(pool.lengths, pool.batch, device):
        chain = loaded.model(batch)
        highest = chain.marginals.max(-1).values[chain.mask]
        right = (chain.argmax == batch["labels"])[chain.mask]
        totals += [right.sum().item(), highest.sum().item(), chain.entropy().sum().item(), len(right)]
    return {
        "accuracy": 100 * totals[0] / totals[3],
        "confidence": 100 * totals[1] / totals[3],
        "entropy": totals[2] / totals[3],
    }
