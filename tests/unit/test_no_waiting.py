"""A training step never waits for a GPU: nothing that it computes is read back, and what it sends is page-locked.

torch's meta device stands for the GPU: its tensors have no values, so whatever would have to wait for one (`item`,
`nonzero`, a boolean index, a copy to the host, `repeat_interleave` without a size) raises. Of the CRF's kernels it runs
the one in log space, not Triton's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from tiny_runs import TINY, encoded, make_corpus, student_run, teacher_run, tiny_encoder, with_targets
from torch.utils._python_dispatch import TorchDispatchMode

from tagdistill.distill.dataset import GATE, CorpusFiles
from tagdistill.models.inference import on_device
from tagdistill.settings.objectives import OBJECTIVES
from tagdistill.training.assemble import assemble
from tagdistill.training.checkpoints import Checkpoints
from tagdistill.training.learner import Learner
from tagdistill.training.processes import Processes
from tagdistill.training.run_training import run_training
from tagdistill.training.trainer import Trainer

GPU = "meta"
UPDATES = 2  # with unlabelled text one of each kind


class Copies(TorchDispatchMode):
    """Refuses copies to the device of what is not page-locked: they wait until the device has nothing left to do."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and torch.device(kwargs.get("device") or "cpu").type == GPU:
            source = args[0]
            assert source.device.type == GPU or source.data_ptr() in self.locked, "a copy from pageable memory"
            assert source.device.type == GPU or kwargs.get("non_blocking"), "a copy that waits"
        return func(*args, **kwargs)


@contextmanager
def a_gpu(monkeypatch) -> Iterator[None]:
    """Let the meta device be the GPU of this machine."""
    copies = Copies()

    def lock(tensor: torch.Tensor) -> torch.Tensor:
        copies.locked.add(tensor.data_ptr())
        return tensor

    with monkeypatch.context() as patch, copies:
        patch.setattr(torch.Tensor, "pin_memory", lock)
        yield


def steps(run, tmp_path, monkeypatch, *, gate: bool = False) -> None:
    """Make some updates of a run as on a GPU."""
    parts = assemble(run)
    learner = Learner(parts.model.to(GPU), parts.loss, parts.temperature, run.settings.loss_per).train()
    saving = Checkpoints(tmp_path, Processes())
    trainer = Trainer(learner, parts.updates, run.settings, saving, device=GPU)
    monkeypatch.setattr(Trainer, "_log", lambda *_: None)  # every fiftieth of a training, which has to wait
    batches = [parts.updates[number] for number in range(UPDATES)]
    with a_gpu(monkeypatch):
        for batch in batches:
            if gate:
                batch["teacher"][GATE] = torch.ones(len(batch["lengths"]))
            trainer._make(on_device(batch, GPU))
    assert trainer.update == UPDATES
    assert isinstance(trainer.sums.loss, torch.Tensor) and trainer.sums.loss.device.type == GPU


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), "aa", "train", 12)


@pytest.mark.parametrize(("head", "pooling"), [("bilstm", "mean"), ("mlp", "first"), ("linear", "last")])
def test_fine_tuning_does_not_wait(head: str, pooling: str, corpus, tmp_path, monkeypatch):
    encoder = TINY.model_copy(update={"pooling": pooling})
    settings = {
        "mode": "finetune",
        "head": head,
        "tune_from": 1,
        "word_dropout": 0.1,
        "updates": UPDATES,
        "batch_words": 20,
    }
    run = teacher_run(
        tmp_path, CorpusFiles("aa", corpus), encoder=encoder, encoder_folder=tiny_encoder(tmp_path), **settings
    )
    steps(run, tmp_path, monkeypatch)


def test_tuning_all_of_an_encoder_does_not_wait(corpus, tmp_path, monkeypatch):
    encoder = TINY.model_copy(update={"freeze_embeddings": False})
    settings = {"mode": "finetune", "tune_from": 0, "optimizer": "sgd", "loss_per": "word", "updates": UPDATES}
    run = teacher_run(
        tmp_path, CorpusFiles("aa", corpus), encoder=encoder, encoder_folder=tiny_encoder(tmp_path), **settings
    )
    steps(run, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def taught(corpus, tmp_path_factory):
    """The corpus with the scores and targets of a CRF and of a softmax teacher."""
    folder, files = tmp_path_factory.mktemp("taught"), {}
    own = encoded(corpus, tiny_encoder(folder))
    for decoder in ("crf", "softmax"):
        teacher = teacher_run(folder / decoder, own, decoder=decoder, updates=1)
        run_training(teacher)
        files[decoder] = with_targets(teacher.outputs.model, own, folder / decoder)
    return files


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_distillation_does_not_wait(objective: str, taught, tmp_path, monkeypatch):
    row = OBJECTIVES[objective]
    files = taught[row.teacher_decoder or "crf"]
    run = student_run(tmp_path, [files], objective=objective, unlabelled=[files], updates=UPDATES, batch_words=20)
    steps(run, tmp_path, monkeypatch, gate=bool(row.needs))


def test_the_stand_in_for_a_gpu_notices_what_waits(monkeypatch):
    values = torch.rand(3, device=GPU)
    waits = {
        "item": lambda: values.sum().item(),
        "a condition": lambda: bool((values > 0).all()),
        "a boolean index": lambda: values[values > 0],
        "nonzero": lambda: values.nonzero(),
        "a copy to the host": lambda: values.cpu(),
        "sizes that are not known": lambda: values.repeat_interleave(torch.ones(3, dtype=torch.int64, device=GPU)),
        "pageable memory": lambda: torch.rand(3).to(GPU, non_blocking=True),
    }
    with a_gpu(monkeypatch):
        for what, wait in waits.items():
            with pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
                pytest.fail(f"{what} is not noticed: {wait()}")
        torch.rand(3).pin_memory().to(GPU, non_blocking=True)
