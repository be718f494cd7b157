"""Out-of-fold scores: those of each labelled sentence by the teacher that was trained without its fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tagdistill.artifacts.files import sha256_file
from tagdistill.artifacts.scratch import scratch
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles, make_pool, read_source
from tagdistill.distill.folds import folds_of
from tagdistill.distill.score_corpus import chain_scores, metadata_of
from tagdistill.distill.score_table import Scores, write_scores
from tagdistill.models.inference import emissions
from tagdistill.models.load import load_tagger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def score_out_of_fold(
    model: Path,
    folds: Sequence[Path],
    files: CorpusFiles,
    out: Path,
    *,
    encoder: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Write scores.parquet of one corpus, in which each sentence is scored by the teacher of its fold.

    `model` is the folder of the teacher of the whole text, which these stand for; `folds` are those of the teachers
    that were trained without fold 0, 1, ...
    """
    torch.set_num_threads(threads)
    whole, corpus = load_tagger(model, encoder, device), read_corpus(files.corpus)
    source = read_source(files, whole.labels, whole.stored, room=out.parent)
    fold = folds_of(corpus.tokens, len(folds))
    found = scratch(out.parent, (int(source.offsets[-1]), len(whole.labels)), np.float32)
    chains = []
    for number, folder in enumerate(folds):
        teacher = load_tagger(folder, encoder, device)
        pool, rows = make_pool([source], teacher.model, teacher.words), np.flatnonzero(fold == number)
        emissions(teacher.model, pool.lengths, pool.batch, found, device=device, rows=rows)
        chains.append(chain_scores(teacher))
    metadata = metadata_of(whole, model, corpus)
    metadata["fold_teachers"] = [sha256_file(folder / "model.safetensors") for folder in folds]
    transitions, start, end = (np.stack([chain[x] for chain in chains]) for x in ("transitions", "start", "end"))
    write_scores(out, Scores(corpus.ids, source.offsets, found, transitions, start, end, metadata, fold))
