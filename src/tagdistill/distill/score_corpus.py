"""The forward pass of a teacher over one corpus: its scores, from which targets are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tagdistill.artifacts.files import sha256_file
from tagdistill.artifacts.scratch import scratch
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles, make_pool, read_source
from tagdistill.distill.score_table import Scores, write_scores
from tagdistill.models.inference import emissions
from tagdistill.models.load import Loaded, load_tagger

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tagdistill.data.corpus import Corpus


def score_corpus(
    model: Path, files: CorpusFiles, out: Path, *, encoder: Path | None = None, device: str = "cpu", threads: int = 1
) -> None:
    """Write scores.parquet of one corpus: emissions of every sentence and the teacher's transition scores.

    `model` is the teacher's folder, `encoder` the folder of its encoder if it is fine-tuned (see `find_encoder`).
    """
    torch.set_num_threads(threads)
    teacher = load_tagger(model, encoder, device)
    corpus = read_corpus(files.corpus)
    source = read_source(files, teacher.labels, teacher.stored, room=out.parent)
    pool = make_pool([source], teacher.model, teacher.words)
    shape = (int(source.offsets[-1]), len(teacher.labels))
    found = scratch(out.parent, shape, np.float32)
    chain = chain_scores(teacher)
    scores = Scores(
        ids=corpus.ids,
        offsets=source.offsets,
        emissions=emissions(teacher.model, pool.lengths, pool.batch, found, device=device),
        transitions=chain["transitions"],
        start=chain["start"],
        end=chain["end"],
        metadata=metadata_of(teacher, model, corpus),
    )
    write_scores(out, scores)


def metadata_of(teacher: Loaded, model: Path, corpus: Corpus) -> dict[str, Any]:
    """Return what scores of a corpus say of it and of their teacher, the model in a folder."""
    return {
        "labels": list(teacher.labels),
        "decoder": teacher.config["decoder"],
        "language": corpus.language,
        "teacher_sha256": sha256_file(model / "model.safetensors"),
        "corpus_sha256": corpus.sha256,
    }


def chain_scores(teacher: Loaded) -> dict[str, NDArray[np.float32]]:
    """Return the scores of a teacher's chain beside its emissions, by their names in `Scores`."""
    return {name: _parameter(teacher, name) for name in ("transitions", "start", "end")}


def _parameter(teacher: Loaded, name: str) -> NDArray[np.float32]:
    """Return one of the tagger's parameters in float32."""
    return teacher.model.tagger.get_parameter(name).detach().float().cpu().numpy()
