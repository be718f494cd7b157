"""The forward pass of a teacher over one corpus: emissions once, everything else from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from tagdistill.artifacts.files import sha256_file
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles, MakeInputs, Pool, Source, read_source
from tagdistill.distill.score_table import Scores, write_scores
from tagdistill.models.finetuned import PieceInputs
from tagdistill.models.inference import emissions
from tagdistill.models.load import Loaded, load_tagger

if TYPE_CHECKING:
    from pathlib import Path


def score_corpus(
    model: Path, files: CorpusFiles, out: Path, *, encoder: Path | None = None, device: str = "cpu", threads: int = 1
) -> None:
    """Write scores.parquet of one corpus: emissions of every sentence and the teacher's chain."""
    torch.set_num_threads(threads)
    loaded = load_tagger(model, encoder, device)
    corpus = read_corpus(files.corpus)
    source = read_source(files, loaded.labels, encoder=loaded.encoder)
    pool = Pool([source], inputs_of(loaded, [source]))
    chain = {
        name: getattr(loaded.model.tagger, name).detach().cpu().numpy().astype(np.float32)
        for name in ("transitions", "start", "end")
    }
    write_scores(
        out,
        Scores(
            ids=corpus.ids,
            offsets=source.offsets,
            emissions=emissions(loaded.model, pool.lengths, pool.batch, device=device),
            metadata={
                "labels": list(loaded.labels),
                "decoder": loaded.config["decoder"],
                "language": files.language,
                "teacher_sha256": sha256_file(model / "model.safetensors"),
                "corpus_sha256": corpus.sha256,
            },
            **chain,
        ),
    )


def inputs_of(loaded: Loaded, sources: list[Source]) -> MakeInputs | None:
    """Return what makes a tuned model's inputs from sentences; None where the encoder is frozen."""
    if loaded.words is None or loaded.model.encoder is None:
        return None
    sentences = [sentence for source in sources for sentence in source.tokens]
    return PieceInputs.of(sentences, loaded.words, loaded.model.encoder, cache=False).batch
