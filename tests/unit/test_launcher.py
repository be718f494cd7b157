"""How several processes are started, what is said of one that died, and what each of them gets."""

from __future__ import annotations

import logging
import signal
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from tagdistill.errors import ConfigError
from tagdistill.models.inference import on_device
from tagdistill.training import launcher, processes

TORCHRUN = ["-m", "tagdistill.training.launcher", "--standalone", "--nproc-per-node=3", "-m", "--", "tagdistill"]


@pytest.fixture
def ended(monkeypatch):
    """Run the launcher, whose torchrun ends with an error, and return the exit code."""

    def run(error: Exception) -> object:
        def main() -> None:
            assert logging.root.manager.disable == logging.ERROR  # torchrun's own report is not shown
            raise error

        monkeypatch.setattr(launcher.run, "main", main)
        with pytest.raises(SystemExit) as caught:
            launcher.main()
        return caught.value.code

    yield run
    logging.disable(logging.NOTSET)


def test_a_process_that_a_signal_ended_is_named(ended, capsys):
    codes = {0: -signal.SIGTERM, 1: -signal.SIGKILL, 2: 1, 3: -signal.SIGHUP}
    failures = {rank: ProcessFailure(rank, 100 + rank, int(code), "none") for rank, code in codes.items()}
    assert ended(ChildFailedError("tagdistill", failures)) == 1
    said = (
        "error: process 1 of the training was ended by SIGKILL\nerror: process 3 of the training was ended by SIGHUP\n"
    )
    assert capsys.readouterr() == ("", said)  # torchrun itself ends the others with SIGTERM; 1 tells its own error


def test_a_launcher_that_is_told_to_end_ends_as_its_signal_says(ended, capsys):
    assert ended(SignalException("told to end", sigval=signal.SIGTERM)) == 128 + signal.SIGTERM
    assert capsys.readouterr() == ("", "")


def test_the_command_is_started_once_for_each_gpu(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tagdistill", "train-student", "--gpus", "3"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    started = []
    monkeypatch.setattr(processes.os, "execv", lambda *command: started.append(command))
    processes.launch(3, "cuda")
    assert started == [(sys.executable, [sys.executable, *TORCHRUN, "train-student", "--gpus", "3"])]
    with pytest.raises(ConfigError, match="4 GPUs are asked for, 3 are visible with device cuda"):
        processes.launch(4, "cuda")
    with pytest.raises(ConfigError, match="1 GPUs are asked for, 0 are visible with device cpu"):
        processes.launch(1, "cpu")
    assert len(started) == 1


def test_a_batch_goes_to_the_device_but_for_its_lengths(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    batch = {"lengths": torch.tensor([2]), "vectors": torch.zeros(1, 2, 3), "teacher": {"paths": torch.zeros(1)}}
    pieces = SimpleNamespace(to=lambda device: f"pieces on {device}")
    sent = on_device({**batch, "pieces": pieces, "teacher_weight": 0.5}, "meta")
    assert sent["lengths"] is batch["lengths"]
    assert sent["vectors"].device.type == sent["teacher"]["paths"].device.type == "meta"
    assert (sent["pieces"], sent["teacher_weight"]) == ("pieces on meta", 0.5)
    assert on_device(batch, "cpu") is batch
