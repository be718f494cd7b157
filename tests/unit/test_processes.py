"""Several processes train one model as one process does: the gradient of an update is that of its whole batch."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import (
    files_of,
    make_corpus,
    start,
    student_run,
    teacher_run,
    wait_for_a_checkpoint,
    with_targets,
)

from tagdistill.artifacts.files import read_json
from tagdistill.errors import ConfigError
from tagdistill.settings.base import LossPer
from tagdistill.training import run_training as stage
from tagdistill.training.assemble import assemble
from tagdistill.training.checkpoints import BEST, Checkpoints
from tagdistill.training.dev_score import dev_score
from tagdistill.training.learner import Learner
from tagdistill.training.processes import Processes, launch
from tagdistill.training.resume import fingerprint_of
from tagdistill.training.run import Machine
from tagdistill.training.run_training import run_training
from tagdistill.training.trainer import train
from tagdistill.training.updates import Update, Updates


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_shares_of_a_batch_are_the_batch(count: int):
    rows = np.arange(100, 100 + count)
    shares = [Processes(rank, 3).share(rows, rows) for rank in range(3)]
    assert sorted(row for own, share in shares if share for row in own) == rows.tolist()
    assert sum(share for _, share in shares) == pytest.approx(1)
    weighed = [sum(own) / rows.sum() for own, share in shares if share]
    assert [share for _, share in shares if share] == pytest.approx(weighed)
    assert all(len(own) for own, _ in shares)  # each takes part, with a sentence that weighs nothing if need be


@pytest.mark.parametrize("sentences", [2, 7])
@pytest.mark.parametrize("loss_per", ["sentence", "word"])
@pytest.mark.parametrize("objective", ["baseline", "posterior", "top_wk", "structural", "scores"])
def test_the_gradients_of_the_shares_are_that_of_the_batch(objective: str, loss_per: LossPer, sentences: int, tmp_path):
    files = files_of(make_corpus(tmp_path, "aa", "train", 12))
    teacher = teacher_run(tmp_path / "teacher", files, updates=2)
    run_training(teacher)
    run = student_run(
        tmp_path / "student",
        [with_targets(teacher.outputs.model, files, tmp_path)],
        objective=objective,
        dropout=0,
        loss_per=loss_per,
    )
    torch.manual_seed(0)
    parts = assemble(run)
    assert parts.updates.loss_per == loss_per
    learner = Learner(parts.model, parts.loss, 1.0, loss_per)

    def gradients(number: int) -> list[torch.Tensor]:
        learner.zero_grad()
        for rank in range(number):
            update = Update(labelled=True, rows=np.arange(sentences), teacher_weight=0.5)
            batch = Updates(parts.updates.labelled, None, [update], Processes(rank, number), loss_per=loss_per)[0]
            (learner(**batch)["loss"] * batch["share"]).backward()
        return [p.grad.clone() for p in learner.parameters() if p.grad is not None]

    for whole, summed in zip(gradients(1), gradients(3), strict=True):
        torch.testing.assert_close(summed, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sentences", [2, 40])
def test_each_process_scores_its_part_of_dev_and_all_have_the_scores_of_the_whole(sentences, tmp_path, monkeypatch):
    train, *dev = (
        files_of(make_corpus(tmp_path, language, split, number))
        for language, split, number in (("aa", "train", 12), ("aa", "dev", sentences), ("bb", "dev", 7))
    )
    ranks = [teacher_run(tmp_path / str(rank), train, updates=30, processes=Processes(rank, 3)) for rank in range(3)]
    alone = replace(ranks[0], dev=dev, machine=Machine())
    run_training(alone)
    parts = assemble(alone)
    parts.model.load_own_state(load_file(alone.outputs.model / "model.safetensors"))
    whole = parts.dev_score(parts.model)
    counted: list[list[float]] = []
    monkeypatch.setattr(Processes, "total", lambda self, values, device: counted.append(values) or values)
    for run in ranks:
        dev_score(replace(run, dev=dev), parts.model, None)(parts.model)
    own, total = np.array(counted), np.sum(counted, axis=0).tolist()
    assert own.shape == (3, 6) and all(total)
    assert (own < total).all() if sentences == 40 else not own[sentences:, :3].any()
    monkeypatch.setattr(Processes, "total", lambda self, values, device: total)
    scores = [dev_score(replace(run, dev=dev), parts.model, None)(parts.model) for run in ranks]
    assert scores == [whole] * 3 and set(whole) == {"aa", "bb", "macro", "pooled"} and 0 < whole["macro"] < 100


def test_processes_wait_for_each_other_about_a_checkpoint_now_and_then_only(tmp_path, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(Processes, "from_first", lambda self, value: asked.append(value) or value)
    saving = Checkpoints(tmp_path, Processes(1, 2))
    saving.every = 0.0
    due = [update for update in range(1, 41) if saving.due(update, 40)]
    assert due == [10, 20, 30] and len(asked) == 3
    saving = Checkpoints(tmp_path, Processes())
    saving.every = 0.0
    assert [update for update in range(1, 5) if saving.due(update, 4)] == [1, 2, 3]


@pytest.mark.slow
def test_two_processes_train_the_model_that_one_trains_and_go_on_after_a_kill(tmp_path):
    train, dev = (files_of(make_corpus(tmp_path, "aa", split, 40)) for split in ("train", "dev"))
    settings = {"updates": 300, "dropout": 0.0, "learning_rate": 1e-3, "optimizer": "sgd"}
    alone = teacher_run(tmp_path / "alone", train, dev, **settings)
    run_training(alone)
    both = teacher_run(tmp_path / "both", train, dev, **settings)
    process = start(both, processes=2, TAGDISTILL_CHECKPOINT_SECONDS="0.2")
    wait_for_a_checkpoint(both, process, after=20, seconds=120)
    kill_all(process)
    assert not both.outputs.model.exists(), "it was faster than the test"
    process = start(both, processes=2)
    try:
        assert process.wait(120) == 0, (tmp_path / "both/log.txt").read_text()
    finally:
        if process.poll() is None:
            kill_all(process)
    said = (tmp_path / "both/log.txt").read_text()
    assert said.count("resuming from checkpoint-") == 1  # one of them speaks
    ours, theirs = (load_file(run.outputs.model / "model.safetensors") for run in (both, alone))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, atol=1e-4, rtol=1e-3)
    one, two = (read_json(run.outputs.summary) for run in (alone, both))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["dev"] == pytest.approx(two["dev"], abs=0.02)
    assert {path.name for path in both.outputs.model.parent.iterdir()} >= {"model", "metrics.jsonl", "training.json"}
    assert not both.outputs.checkpoints.exists()


@pytest.mark.slow
@pytest.mark.parametrize("death", ["a setting", "a signal"])
def test_what_failed_is_the_end_of_the_log(death: str, tmp_path):
    train = files_of(make_corpus(tmp_path, "aa", "train", 40))
    wild = {"learning_rate": 1e30, "learning_rate_transitions": 1e38, "clip": 1e38, "optimizer": "sgd"}
    settings = {"updates": 30, **wild} if death == "a setting" else {"updates": 100_000}
    run = teacher_run(tmp_path / "run", train, **settings)
    process = start(run, processes=2, TAGDISTILL_CHECKPOINT_SECONDS="0.2", PYTHONFAULTHANDLER="1")
    if death == "a signal":
        wait_for_a_checkpoint(run, process, after=0, seconds=120)
        psutil.Process(process.pid).children()[0].kill()
    ended = ended_within(process, 120)
    said = (tmp_path / "run/log.txt").read_text()
    assert ended == 1, said
    if death == "a setting":
        assert "Traceback" not in said and "Lower `learning_rate`" in said.splitlines()[-1]
    else:  # before it the other process tells how it lost the first
        assert "of the training was ended by SIGKILL" in said.splitlines()[-1]


def test_only_the_first_process_reads_what_it_removes_when_it_is_done(tmp_path):
    """The others may come to it when it is gone."""
    files = files_of(make_corpus(tmp_path, "aa", "train", 12))
    run = teacher_run(tmp_path / "run", files, updates=2, processes=Processes(rank=1, number=1))
    run.outputs.checkpoints.mkdir(parents=True)
    (run.outputs.checkpoints / BEST).write_text("half removed")
    parts = assemble(run)
    outcome = train(
        parts.model,
        parts.updates,
        run.settings,
        checkpoints=run.outputs.checkpoints,
        seed=0,
        fingerprint="",
        temperature=1.0,
    )
    assert outcome.best is None


def test_of_several_processes_the_first_alone_locks_and_opens_the_folder(tmp_path, monkeypatch):
    files = files_of(make_corpus(tmp_path, "aa", "train", 4))
    run = teacher_run(tmp_path / "run", files, processes=Processes(rank=1, number=2))
    for name, done in (("join", None), ("from_first", False), ("leave", None)):
        monkeypatch.setattr(Processes, name, lambda self, *_, done=done: done)
    monkeypatch.setattr(stage, "locked", lambda *_: pytest.fail("it would wait for the first"))
    trained = []
    monkeypatch.setattr(stage, "_train_and_write", lambda run, fingerprint, *_: trained.append(fingerprint))
    run_training(run)
    assert trained == [fingerprint_of(run)] and not run.outputs.checkpoints.exists()


def ended_within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit status; None where it is still running, which is then killed, its stacks in its log."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER
        time.sleep(2)
        kill_all(process)
        return None


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a launcher and its processes, which it starts in groups of their own."""
    for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        each.kill()
    process.wait()


@pytest.mark.parametrize(("device", "backend"), [("cuda", "nccl"), ("cpu", "gloo")])
def test_processes_join_by_the_backend_of_their_device(device: str, backend: str, monkeypatch):
    joined: list[object] = []
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "set_device", joined.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda name, **_: joined.append(name))
    Processes(1, 2).join(device)
    assert joined == [*([1] if device == "cuda" else []), backend]
    Processes(0, 1).join(device)
    assert joined[-1] == backend and len(joined) == 1 + (device == "cuda")


@pytest.mark.slow
def test_more_gpus_than_there_are_is_an_error_in_words(tmp_path):
    with pytest.raises(ConfigError, match="2 GPUs are asked for, 0 are visible with device cpu"):
        launch(2, "cpu")
    run = teacher_run(tmp_path / "run", files_of(make_corpus(tmp_path, "aa", "train", 4)), updates=2)
    assert start(run, "--gpus", "2").wait(120) == 1
    said = (tmp_path / "run/log.txt").read_text()
    assert said.startswith("error: --gpus") and "Traceback" not in said
