"""The training stage of teachers and students: lock, resume, train, write."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from tagdistill.artifacts.environment import run_is_gone
from tagdistill.artifacts.locks import locked
from tagdistill.training.assemble import assemble
from tagdistill.training.checkpoints import open_checkpoints, remove_checkpoints
from tagdistill.training.outputs import write_outputs
from tagdistill.training.processes import MAX_WAIT
from tagdistill.training.remote_checkpoints import RemoteCheckpoints
from tagdistill.training.resume import fingerprint_of, is_finished
from tagdistill.training.trainer import train

if TYPE_CHECKING:
    from tagdistill.training.run import Run

log = logging.getLogger(__name__)
PATIENCE = MAX_WAIT.total_seconds()  # with another process that trains the same model


def run_training(run: Run) -> None:
    """Train and write model, log and summary; an interrupted run resumes from its last checkpoint.

    A lock keeps a process that outlived its workflow from training the same model at the same time; what it wrote while
    this one waited is kept. Of several processes that train together the first one holds the lock, and writes.
    """
    processes, checkpoints = run.machine.processes, run.outputs.checkpoints
    fingerprint = fingerprint_of(run)
    lock = checkpoints.with_name("training.lock")
    remote = RemoteCheckpoints.of(fingerprint) if processes.first else None
    with locked(lock, "training this model", PATIENCE) if processes.first else nullcontext(False) as waited:
        finished = waited and is_finished(run.outputs, fingerprint)
        if processes.first and not finished:
            open_checkpoints(checkpoints, fingerprint)
            if remote:
                remote.fetch(checkpoints)
        processes.join(run.machine.device)
        if processes.from_first(finished):
            log.info("the other process has trained this very model: nothing is left to do")
        else:
            _train_and_write(run, fingerprint, remote)
        processes.leave()  # not after an error: it might wait for the others, who wait for this one


def _train_and_write(run: Run, fingerprint: str, remote: RemoteCheckpoints | None) -> None:
    torch.set_num_threads(run.machine.threads)
    torch.manual_seed(run.seed)
    parts = assemble(run)
    outcome = train(
        parts.model,
        parts.updates,
        run.settings,
        checkpoints=run.outputs.checkpoints,
        fingerprint=fingerprint,
        seed=run.seed,
        loss=parts.loss,
        temperature=parts.temperature,
        score=parts.dev_score,
        device=run.machine.device,
        copy=remote.put if remote else None,
    )
    if run.machine.processes.first:
        write_outputs(run, parts, outcome, fingerprint)
        if run_is_gone():
            log.info(
                "checkpoints are kept: this run's Snakemake is gone, and the next one will ask for the model again"
            )
            return
        remove_checkpoints(run.outputs.checkpoints)
        if remote:
            remote.remove()
