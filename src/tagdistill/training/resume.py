"""What a run is known by, and whether it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.artifacts.code_key import code_key
from tagdistill.artifacts.files import read_json, sha256_json, sha256_sample
from tagdistill.artifacts.provenance import versions
from tagdistill.artifacts.stored_file import check_stored
from tagdistill.crf import kernel
from tagdistill.crf.kernels.selection import modules as kernel_modules
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.distill.dataset import CorpusFiles
    from tagdistill.training.run import Outputs, Run

ENTRY = "tagdistill.training.run_training"  # imports all that training runs, but for what is loaded by name


def fingerprint_of(run: Run) -> str:
    """Return a hash of all that decides the weights: settings, data, targets, code, seed and libraries."""
    files = [path for corpus in (*run.train, *run.dev, *run.unlabelled) for path in _paths(corpus)]
    for path in files:
        check_stored(path)
    encoder = EncoderInfo.read(run.encoder_folder).sha256 if run.encoder_folder else None
    by_name = (*(run.distillation.row.modules if run.distillation else ()), *run.modules)
    return sha256_json(
        {
            "settings": run.settings.model_dump(mode="json"),
            "distill": run.distill.model_dump(mode="json") if run.distill else None,
            "shape": [run.task, run.labels, run.decoder, run.objective, run.seed, run.updates_per_batch, run.decode],
            "shares": [corpus.shares for corpus in (*run.train, *run.unlabelled)],
            "fold": run.fold,
            "gate": dict(run.gate) if run.gate else None,
            "machine": [run.machine.device, run.machine.threads, kernel(), run.machine.processes.number],
            "encoder": [run.encoder.model_dump(mode="json"), encoder],
            "files": [sha256_sample(path) for path in files],
            "code": code_key(ENTRY, *by_name, *kernel_modules(kernel())),
            "versions": versions(),
        }
    )


def _paths(corpus: CorpusFiles) -> list[Path]:
    # Word vectors are not among them: their key is in the encoder's settings, and is checked when they are opened.
    paths = (corpus.corpus, corpus.features, corpus.states, corpus.targets, corpus.scores, *corpus.other_scores)
    return [path for path in paths if path is not None]


def is_finished(outputs: Outputs, fingerprint: str) -> bool:
    """Return whether all outputs of the run with this fingerprint exist; the model is written last."""
    exist = outputs.log.exists() and outputs.summary.exists() and (outputs.model / "config.json").exists()
    try:
        return exist and bool(read_json(outputs.summary).get("fingerprint") == fingerprint)
    except (TagdistillError, AttributeError):  # a damaged summary is that of no run
        return False
