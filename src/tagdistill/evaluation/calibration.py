"""How sure a teacher is, and how often it is right: on the text that it was trained on, and on its test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tagdistill.artifacts.files import check_belongs
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import label_ids
from tagdistill.distill.score_table import read_scores
from tagdistill.distill.teacher_chains import chains
from tagdistill.errors import DataError
from tagdistill.models.batches import gather

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import Int
    from torch import Tensor

    from tagdistill.crf import LinearChain
    from tagdistill.distill.dataset import CorpusFiles


@dataclass
class Certainty:
    """Sums over the words of a text, batch by batch.

    All are of the whole distribution, and so is the best label sequence: it may be ill-formed, where predictions are of
    constrained decoding.
    """

    words: int = 0
    right: float = 0.0
    highest: float = 0.0  # marginals
    entropy: float = 0.0  # nats

    def add(self, chain: LinearChain, labels: Int[Tensor, "batch time"]) -> None:
        """Add a batch: the distribution over its label sequences, and its gold labels."""
        self.words += int(chain.lengths.sum())
        self.right += (chain.argmax == labels)[chain.mask].sum().item()
        self.highest += chain.marginals.max(-1).values[chain.mask].sum().item()
        self.entropy += chain.entropy().sum().item()

    def values(self) -> dict[str, float]:
        """Return accuracy and mean highest marginal (per cent), and mean entropy (nats per word)."""
        return {
            "accuracy": 100 * self.right / self.words,
            "confidence": 100 * self.highest / self.words,
            "entropy": self.entropy / self.words,
        }


def certainty_of_scores(
    files: CorpusFiles, labels: Sequence[str], teacher_sha256: str, room: Path | None = None
) -> dict[str, float]:
    """Return the certainty of a teacher on a corpus that it has scored; `room` is a folder for temporary files.

    Raises DataError if the corpus has no labels or no scores are given, MismatchError for scores of another corpus,
    label list or teacher (the hash of its weights).
    """
    corpus = read_corpus(files.corpus)
    check_belongs(files.corpus, corpus.metadata, labels=list(labels))
    gold = label_ids(corpus)
    if gold is None or files.scores is None:
        raise DataError("labels and scores of a teacher's training text are needed", where=str(files.corpus))
    scores = read_scores(files.scores, room)
    known = {"labels": list(labels), "corpus_sha256": corpus.sha256, "teacher_sha256": teacher_sha256}
    check_belongs(files.scores, scores.metadata, language=files.language, **known)
    certainty = Certainty()
    for rows, chain in chains(scores):
        certainty.add(chain, gather(gold, scores.offsets, rows, torch.int64))
    return certainty.values()
