"""Training: it learns, it is reproducible to the bit, and a kill costs nothing but time."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from tiny_runs import (
    LABELS,
    TINY,
    files_of,
    interrupted,
    make_corpus,
    outputs_in,
    start,
    student_run,
    teacher_run,
    tiny_encoder,
    wait_for_a_checkpoint,
    with_targets,
)

from tagdistill.artifacts.files import read_json, sha256_file
from tagdistill.distill.dataset import CorpusFiles, Source
from tagdistill.errors import ConfigError, DataError, MismatchError, TagdistillError
from tagdistill.models.model import save_model
from tagdistill.settings.training import SharedTeacherSettings, TeacherSettings
from tagdistill.settings.validation import validate
from tagdistill.training import assemble, learner, resume, trainer
from tagdistill.training.assemble import one_teacher_each
from tagdistill.training.checkpoints import (
    BEST,
    COMPLETE,
    Best,
    Checkpoints,
    best_of,
    keep_if_best,
    last_checkpoint,
    seconds_of,
)
from tagdistill.training.learner import Learner
from tagdistill.training.processes import Processes
from tagdistill.training.resume import fingerprint_of
from tagdistill.training.run import Machine, Run
from tagdistill.training.run_training import run_training
from tagdistill.training.updates import Updates


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, CorpusFiles]:
    folder = tmp_path_factory.mktemp("corpora")
    made = {f"{lang}/{split}": make_corpus(folder, lang, split, n) for lang in ("aa", "bb") for split, n in SPLITS}
    return {name: files_of(path) for name, path in made.items()}


SPLITS = (("train", 60), ("dev", 25))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("project"))


def weights(run: Run) -> str:
    return sha256_file(run.outputs.model / "model.safetensors")


def lines(run: Run) -> list[dict]:
    return [json.loads(line) for line in run.outputs.log.read_text().splitlines()]


def without_times(run: Run) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "words_per_second"} for line in lines(run)]


# ---- it learns


def test_a_teacher_learns_and_says_how_it_went(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], data["aa/dev"], updates=80)
    run_training(run)
    logged = [line for line in lines(run) if "loss" in line]
    assert falls([line["loss"] for line in logged])
    assert logged[-1]["gold"] == pytest.approx(logged[-1]["loss"], rel=1e-5)
    assert {line["teacher_weight"] for line in logged} == {0.0}
    assert {line["teacher"] for line in logged} == {0.0}
    dev = [line for line in lines(run) if "dev" in line]
    assert [line["update"] for line in dev] == [20, 40, 60, 80]
    assert set(dev[0]["dev"]) == {"macro", "pooled", "aa"}
    summary = read_json(run.outputs.summary)
    best = max(dev, key=lambda line: line["dev"]["macro"])
    assert summary["dev"] == best["dev"]["macro"] > 40
    assert (summary["best_update"], summary["updates"], summary["seed"]) == (best["update"], 80, 0)
    assert summary["objective"] is None
    assert summary["words_per_second"] > 0
    assert summary["seconds"] > 0
    assert not run.outputs.checkpoints.exists()


def falls(losses: list[float]) -> bool:
    return sum(losses[-8:]) < 0.5 * sum(losses[:8])


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["posterior", "structural", "scores"])
def test_a_student_learns_from_its_teacher_alone(objective, data, tmp_path):
    """Gold weighs nothing here: all that the student knows comes from the teacher."""
    teacher = teacher_run(tmp_path / "teacher", data["aa/train"], updates=100)
    run_training(teacher)
    taught = with_targets(teacher.outputs.model, data["aa/train"], tmp_path)
    alone = {"anneal": {"from": 1.0, "to": 1.0}}
    run = student_run(tmp_path / "s", [taught], [data["aa/dev"]], objective=objective, distill=alone, updates=100)
    run_training(run)
    assert read_json(run.outputs.summary)["dev"] > 40
    logged = [line for line in lines(run) if "loss" in line]
    assert falls([line["teacher"] for line in logged])
    assert {line["gold"] for line in logged} == {0.0}


def test_the_log_tells_the_parts_of_the_updates_that_had_them(data, tmp_path, monkeypatch):
    """With text without labels in between: gold's mean is over labelled updates, and so is the teacher's weight."""
    teacher = teacher_run(tmp_path / "teacher", data["aa/train"], updates=8)
    run_training(teacher)
    plain = files_of(make_corpus(tmp_path, "aa", "unlabelled", 40, labelled=False))
    taught, more = (with_targets(teacher.outputs.model, files, tmp_path) for files in (data["aa/train"], plain))
    half = {"anneal": {"from": 0.5, "to": 0.5}, "unlabelled_ratio": 1.0}
    run = student_run(tmp_path / "s", [taught], unlabelled=[more], distill=half, updates=100)

    def parts(chain, gold, *_):
        nothing = 0 * chain.emissions.sum()
        return {"loss": nothing + 2, "teacher": nothing + 4, "gold": nothing + (8 if gold is not None else 0)}

    monkeypatch.setattr(learner, "mixed_loss", parts)
    run_training(run)
    logged = [line for line in lines(run) if "loss" in line]
    assert len(logged) == 50  # two updates a line, one of each kind
    assert {(line["loss"], line["gold"], line["teacher"], line["teacher_weight"]) for line in logged} == {
        (2, 8, 4, 0.5)
    }
    assert read_json(run.outputs.model / "config.json")["distill"]["anneal"] == {"from": 0.5, "to": 0.5, "tau": None}


def test_the_log_tells_which_updates_were_clipped(data, tmp_path, monkeypatch):
    norms: list[float] = []
    clip = trainer.clip_grad_norm_

    def keep(*given):
        norm = clip(*given)
        norms.append(float(norm))
        return norm

    monkeypatch.setattr(trainer, "clip_grad_norm_", keep)
    slow = {
        "optimizer": "sgd",
        "learning_rate": 1e-9,
        "learning_rate_transitions": 1e-9,
    }  # the same gradients in each run
    run_training(teacher_run(tmp_path / "free", data["aa/train"], clip=1e6, **slow))
    limit = sum(sorted(norms)[3:5]) / 2
    run = teacher_run(tmp_path / "clipped", data["aa/train"], clip=limit, **slow)
    run_training(run)
    logged = [line["clipped"] for line in lines(run) if "loss" in line]
    assert logged == [float(norm > limit) for norm in norms[:12]]
    assert read_json(run.outputs.summary)["clipped"] == pytest.approx(8 / 12)
    assert read_json(tmp_path / "free" / "training.json")["clipped"] == 0


def test_a_softmax_model_has_no_transitions_to_train(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], decoder="softmax")
    run_training(run)
    state = load_file(run.outputs.model / "model.safetensors")
    for name in ("transitions", "start", "end"):
        assert not state[f"tagger.{name}"].any(), name
    crf = teacher_run(tmp_path / "crf", data["aa/train"])
    run_training(crf)
    labels = len(LABELS)
    apart = read_json(crf.outputs.summary)["parameters"] - read_json(run.outputs.summary)["parameters"]
    assert apart == labels * labels + 2 * labels
    assert load_file(crf.outputs.model / "model.safetensors")["tagger.transitions"].any()


def test_the_standardisation_is_saved_with_the_model(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"])
    run_training(run)
    state = load_file(run.outputs.model / "model.safetensors")
    features = load_file(data["aa/train"].features)["features"].double()
    torch.testing.assert_close(state["tagger.mean"], features.mean(0).float())
    torch.testing.assert_close(state["tagger.std"], features.std(0, correction=0).float())


# ---- the same again


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, tmp_path):
    runs = [
        teacher_run(tmp_path / name, data["aa/train"], data["aa/dev"], seed=seed)
        for name, seed in zip("abc", (1, 1, 2), strict=True)
    ]
    for run in runs:
        torch.rand(7)  # what was drawn before does not matter
        run_training(run)
    first, again, other = map(weights, runs)
    assert first == again
    assert first != other
    assert without_times(runs[0]) == without_times(runs[1])
    assert (runs[0].outputs.model / "config.json").read_bytes() == (runs[1].outputs.model / "config.json").read_bytes()


VARIANTS = {
    "last": {"select": "last"},
    "best": {"select": "macro"},
    "plateau": {"schedule": "plateau", "evaluations": 12, "learning_rate": 0.3},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "constant", "warmup": 0.5},
    "word dropout": {"word_dropout": 0.2, "weight_decay": 0.1, "select": "pooled"},
    "two updates a line": {"updates": 100},  # saved within a line of the log
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_resumed_run_ends_as_an_uninterrupted_one(name, data, tmp_path, monkeypatch, caplog):
    def run_of(folder: str) -> Run:
        return teacher_run(tmp_path / folder, data["aa/train"], data["aa/dev"], **VARIANTS[name])

    whole, broken = run_of("whole"), run_of("broken")
    run_training(whole)
    with interrupted(monkeypatch, saves={2, 5}, at=9):  # dev was scored at 6 and 9 since: the best may be later
        run_training(broken)
    assert not broken.outputs.model.exists()
    with interrupted(monkeypatch, saves={7}, at=8):
        run_training(broken)
    drawn: list[int] = []
    item = Updates.__getitem__
    monkeypatch.setattr(Updates, "__getitem__", lambda self, number: drawn.append(number) or item(self, number))
    with caplog.at_level(logging.INFO):
        run_training(broken)
    assert "resuming from checkpoint-7" in caplog.text and "starting again" not in caplog.text
    assert drawn == list(range(7, broken.settings.updates))  # not from the start: that would end alike, but late
    assert weights(broken) == weights(whole)
    assert without_times(broken) == without_times(whole)
    assert read_json(broken.outputs.summary)["best_update"] == read_json(whole.outputs.summary)["best_update"]


@pytest.mark.slow
def test_a_resumed_student_ends_as_an_uninterrupted_one(data, tmp_path, monkeypatch):
    teacher = teacher_run(tmp_path / "teacher", data["aa/train"], updates=8)
    run_training(teacher)
    plain = files_of(make_corpus(tmp_path, "aa", "unlabelled", 40, labelled=False))
    taught, more = (with_targets(teacher.outputs.model, files, tmp_path) for files in (data["aa/train"], plain))
    other = with_targets(teacher.outputs.model, data["bb/dev"], tmp_path)
    runs = [
        student_run(
            tmp_path / name,
            [taught, other],
            [data["aa/dev"], data["bb/dev"]],
            unlabelled=[more],
            objective="structural",
            sampling=0.5,
        )
        for name in ("whole", "broken")
    ]
    run_training(runs[0])
    with interrupted(monkeypatch, saves={5}, at=7):
        run_training(runs[1])
    run_training(runs[1])
    assert weights(runs[0]) == weights(runs[1])


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_where_it_was(data, tmp_path):
    """The real command, kill -9, and the same command again."""
    whole = teacher_run(tmp_path / "whole", data["aa/train"], data["aa/dev"], updates=400, evaluations=8)
    run_training(whole)
    broken = replace(whole, outputs=outputs_in(tmp_path / "broken"))
    process = start(broken, TAGDISTILL_CHECKPOINT_SECONDS="0.05")
    wait_for_a_checkpoint(broken, process, after=20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not broken.outputs.model.exists(), "it was faster than the test"
    assert broken.outputs.checkpoints.exists()
    process = start(broken)
    assert process.wait(60) == 0
    said = (tmp_path / "broken" / "log.txt").read_text()
    assert "resuming from checkpoint-" in said
    assert weights(broken) == weights(whole)


# ---- checkpoints


@pytest.fixture
def stopped(data, tmp_path, monkeypatch) -> Run:
    """A run that was killed after its checkpoints 3 and 6."""
    run = teacher_run(tmp_path / "run", data["aa/train"], data["aa/dev"])
    with interrupted(monkeypatch, saves={3, 6}, at=8):
        run_training(run)
    assert {path.name for path in run.outputs.checkpoints.glob("checkpoint-*")} == {"checkpoint-3", "checkpoint-6"}
    return run


def altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "no marker": "incomplete",
    "half a marker": r"damaged \(complete.json\)",
    "another marker": r"damaged \(complete.json\)",
    "cut": r"damaged \(optimizer.safetensors\)",
    "altered": r"damaged \(optimizer.safetensors\)",
    "best altered": r"damaged \(best.safetensors\)",
    "missing": r"incomplete \(process-0.safetensors is missing\)",
    "empty folder": "incomplete",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_incomplete_or_damaged_checkpoint_is_ignored(damage, stopped, data, tmp_path, caplog):
    newest = stopped.outputs.checkpoints / "checkpoint-6"
    if damage == "half a marker":
        (newest / COMPLETE).write_text('{"files": {')
    elif damage == "another marker":
        (newest / COMPLETE).write_text("[]")
    elif damage == "altered":
        altered(newest / "optimizer.safetensors")
    elif damage == "best altered":
        altered(newest / "best.safetensors")
    elif damage == "no marker":
        (newest / COMPLETE).unlink()
    elif damage == "cut":
        (newest / "optimizer.safetensors").write_bytes((newest / "optimizer.safetensors").read_bytes()[:99])
    elif damage == "missing":
        (newest / "process-0.safetensors").unlink()
    else:
        (stopped.outputs.checkpoints / "checkpoint-7").mkdir()
    expected = "checkpoint-6" if damage == "empty folder" else "checkpoint-3"
    with caplog.at_level(logging.INFO):
        run_training(stopped)
    assert re.search(f"checkpoint-[67] is {DAMAGE[damage]}: ignoring it", caplog.text)
    assert f"resuming from {expected}" in caplog.text
    whole = teacher_run(tmp_path / "whole", data["aa/train"], data["aa/dev"])
    run_training(whole)
    assert weights(stopped) == weights(whole)


def test_without_a_whole_checkpoint_training_starts_again(stopped, caplog):
    for marker in stopped.outputs.checkpoints.glob(f"*/{COMPLETE}"):
        marker.unlink()
    assert last_checkpoint(stopped.outputs.checkpoints) is None
    with caplog.at_level(logging.INFO):
        run_training(stopped)
    assert "resuming" not in caplog.text
    assert lines(stopped)[0]["update"] == 1


CHANGES = {
    "settings": lambda run, data: {"settings": run.settings.model_copy(update={"clip": 1.0})},
    "seed": lambda run, data: {"seed": 7},
    "data": lambda run, data: {"train": [data["bb/train"]]},
    "dev": lambda run, data: {"dev": [data["bb/dev"]]},
    "encoder": lambda run, data: {"encoder": TINY.model_copy(update={"freeze_embeddings": False})},
    "threads": lambda run, data: {"machine": Machine(threads=2)},
    "decoder": lambda run, data: {"decoder": "softmax"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_the_weights_is_in_the_fingerprint(change, data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], data["aa/dev"])
    elsewhere = teacher_run(tmp_path / "elsewhere", data["aa/train"], data["aa/dev"])
    assert fingerprint_of(run) == fingerprint_of(elsewhere)
    assert fingerprint_of(replace(run, **CHANGES[change](run, data))) != fingerprint_of(run)


def test_checkpoints_of_another_run_are_dropped_and_it_is_said(stopped, data, tmp_path, caplog):
    other = replace(stopped, seed=7)
    with caplog.at_level(logging.INFO):
        run_training(other)
    assert "checkpoint-6 is of other settings, data or code: ignoring it" in caplog.text
    assert "starting again" in caplog.text
    assert "resuming" not in caplog.text
    fresh = teacher_run(tmp_path / "fresh", data["aa/train"], data["aa/dev"], seed=7)
    run_training(fresh)
    assert weights(other) == weights(fresh)


@pytest.mark.parametrize("name", ["fingerprint.json", "best.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "altered"])
def test_a_checkpoint_needs_nothing_beside_itself(name, damage, stopped, data, tmp_path, caplog, monkeypatch):
    file = stopped.outputs.checkpoints / name
    content = file.read_bytes()
    file.unlink()  # the weights may be those of the checkpoint: one file under two names
    if damage != "missing":
        file.write_bytes(b"" if damage == "empty" else content[:-9] + b"damaged!}")
    updates: list[None] = []
    computed = Learner.forward
    monkeypatch.setattr(Learner, "forward", lambda *args, **batch: updates.append(None) or computed(*args, **batch))
    with caplog.at_level(logging.INFO):
        run_training(stopped)
    assert "resuming from checkpoint-6" in caplog.text and "starting again" not in caplog.text
    assert len(updates) == stopped.settings.updates - 6
    whole = teacher_run(tmp_path / "whole", data["aa/train"], data["aa/dev"])
    run_training(whole)
    assert weights(stopped) == weights(whole)


@pytest.mark.parametrize("name", ["notes.txt", "checkpoint-500/model.safetensors"])
def test_a_folder_with_other_files_is_no_place_for_checkpoints(name, data, tmp_path):
    run = teacher_run(tmp_path / "run", data["aa/train"], updates=2)
    file = run.outputs.checkpoints / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(TagdistillError, match="holds files that are no checkpoints of tagdistill"):
        run_training(run)
    assert file.read_text() == "mine"


def test_hidden_files_of_others_stay_where_checkpoints_were(data, tmp_path):
    run = teacher_run(tmp_path / "run", data["aa/train"], updates=2)
    mine = run.outputs.checkpoints / ".git/config"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for name in (".tmpAb12Cd", ".best.safetensors.here.999999999.tmp"):  # of this training when it was killed
        (run.outputs.checkpoints / name).write_text("half")
    run_training(run)
    assert [path.name for path in run.outputs.checkpoints.iterdir()] == [".git"] and mine.read_text() == "mine"


def test_a_model_stands_whatever_the_removal_of_its_checkpoints_meets(data, tmp_path, monkeypatch, caplog):
    run = teacher_run(tmp_path / "run", data["aa/train"], data["aa/dev"], updates=2)

    def busy(path, *_, **__):
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))  # a file that is open, on NFS

    with monkeypatch.context() as patch:
        patch.setattr("tagdistill.training.outputs.save_model", lambda *given: (save_model(*given), clog(patch)))

        def clog(patch):
            for name in ("unlink", "rmdir"):
                patch.setattr(Path, name, busy)

        run_training(run)
    assert (run.outputs.model / "config.json").exists()
    assert "could not be removed (Device or resource busy): it is needed no more" in caplog.text
    run_training(run)  # what was left is in nobody's way
    assert not run.outputs.checkpoints.exists()


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_summary_is_that_of_no_run(content, data, tmp_path):
    run = teacher_run(tmp_path / "run", data["aa/train"], updates=2)
    run_training(run)
    assert resume.is_finished(run.outputs, fingerprint_of(run))
    run.outputs.summary.write_text(content)
    assert not resume.is_finished(run.outputs, fingerprint_of(run))


@pytest.mark.parametrize(
    ("name", "value"), [("TAGDISTILL_CHECKPOINT_SECONDS", "2 min"), ("RANK", "first"), ("WORLD_SIZE", "0")]
)
def test_a_variable_that_is_no_number_is_named(name, value, data, tmp_path, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"{name}: '?{value}'? is no number from"):
        run_training(teacher_run(tmp_path, data["aa/train"], updates=1, machine=Machine(processes=Processes.started())))


def test_other_code_drops_checkpoints_too(stopped, monkeypatch, caplog):
    monkeypatch.setattr(resume, "code_key", lambda *modules: "other")
    with caplog.at_level(logging.INFO):
        run_training(stopped)
    assert "starting again" in caplog.text


def test_the_seconds_of_a_killed_run_count(stopped):
    marker = stopped.outputs.checkpoints / "checkpoint-6" / COMPLETE
    marker.write_text(json.dumps({**read_json(marker), "seconds": 1000.0}))
    run_training(stopped)
    assert 1000 <= read_json(stopped.outputs.summary)["seconds"] < 1100


def test_a_second_run_waits_until_the_first_has_ended(data, tmp_path, caplog):
    run = teacher_run(tmp_path / "run", data["aa/train"], updates=2)
    run.outputs.checkpoints.mkdir(parents=True)
    with caplog.at_level(logging.WARNING), FileLock(run.outputs.checkpoints.with_name("training.lock")):
        waiting = threading.Thread(target=run_training, args=(run,))
        waiting.start()
        deadline = time.monotonic() + 120
        while "another process is training this model" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        assert not run.outputs.model.exists()
        assert list(run.outputs.checkpoints.iterdir()) == []
        run.outputs.checkpoints.rmdir()  # as a run does that has ended
    waiting.join(120)
    assert (run.outputs.model / "config.json").exists()


@pytest.mark.parametrize("other", [False, True])
def test_what_the_first_run_wrote_stands_if_it_was_the_very_same(other, data, tmp_path, caplog):
    run = teacher_run(tmp_path / "run", data["aa/train"], updates=2)
    run_training(run)
    if other:
        summary = run.outputs.summary
        summary.write_text(summary.read_text().replace(read_json(summary)["fingerprint"], "another"))
    written = (run.outputs.model / "config.json").stat().st_ino
    caplog.set_level(logging.INFO)
    with FileLock(run.outputs.checkpoints.with_name("training.lock")):
        waiting = threading.Thread(target=run_training, args=(run,))
        waiting.start()
        deadline = time.monotonic() + 120
        while "another process is training this model" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    waiting.join(120)
    assert ((run.outputs.model / "config.json").stat().st_ino == written) != other
    assert ("nothing is left to do" in caplog.text) != other


def test_the_lock_is_free_after_a_run_and_after_a_failure(data, tmp_path, monkeypatch):
    run = teacher_run(tmp_path / "run", data["aa/train"], updates=2)
    run_training(run)
    with interrupted(monkeypatch, saves=set(), at=1):
        run_training(run)
    assert not run.outputs.checkpoints.with_name("training.lock").exists()


# ---- outputs


def test_the_model_is_complete_or_absent(data, tmp_path, monkeypatch, caplog):
    """What was there stays where writing fails; the run can go on, and ends as it would have."""
    run = teacher_run(tmp_path / "run", data["aa/train"])
    run_training(run)
    before = weights(run)
    broken = replace(run, seed=5)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(TagdistillError, match="cannot write: No space left"):
        patch.setattr("tagdistill.models.model.save_file", full)
        run_training(broken)
    assert weights(run) == before
    assert {path.name for path in run.outputs.model.parent.iterdir()} == {
        "model",
        "metrics.jsonl",
        "training.json",
        "checkpoints",
    }
    run_training(broken)
    assert weights(broken) != before
    assert not run.outputs.checkpoints.exists()


def test_a_failed_first_run_leaves_no_model(data, tmp_path, monkeypatch):
    run = teacher_run(tmp_path / "run", data["aa/train"])
    with interrupted(monkeypatch, saves={1}, at=3):
        run_training(run)
    assert {path.name for path in run.outputs.model.parent.iterdir()} == {"checkpoints"}


# ---- selection


@pytest.mark.parametrize("select", ["last", "macro", "pooled"])
def test_the_dev_score_that_was_asked_for_selects(select, data, tmp_path, monkeypatch):
    scripted = {"macro": [10.0, 40.0, 30.0, 20.0], "pooled": [1.0, 2.0, 9.0, 9.0]}
    seen: list[dict] = []

    def score_of(run, model, words):
        def score(model):
            number = len(seen)
            seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            return {**{name: values[number] for name, values in scripted.items()}, "aa": float(number)}

        return score

    monkeypatch.setattr(assemble, "dev_score", score_of)
    run = teacher_run(tmp_path, data["aa/train"], data["aa/dev"], select=select)
    run_training(run)
    best = {"last": 3, "macro": 1, "pooled": 2}[select]  # the first of two that are equal
    state = load_file(run.outputs.model / "model.safetensors")
    assert all(torch.equal(state[name], tensor) for name, tensor in seen[best].items())
    summary = read_json(run.outputs.summary)
    assert summary["best_update"] == 3 * (best + 1)
    assert summary["dev"] == {"last": None, "macro": 40.0, "pooled": 9.0}[select]
    assert summary["dev_scores"] == {**{name: scores[best] for name, scores in scripted.items()}, "aa": float(best)}


@pytest.mark.parametrize(("scores", "best"), [([0.0, 0.0, 0.0, 0.0], 12), ([0.0, 0.0, 5.0, 0.0], 9)])
def test_dev_scores_of_0_choose_no_early_weights(scores, best, data, tmp_path, monkeypatch):
    left = iter(scores)
    monkeypatch.setattr(assemble, "dev_score", lambda *_: lambda _: dict.fromkeys(("macro", "pooled"), next(left)))
    run = teacher_run(tmp_path, data["aa/train"], data["aa/dev"])
    run_training(run)
    assert read_json(run.outputs.summary)["best_update"] == best


def test_without_a_dev_set_the_last_update_stays(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], select="macro")
    run_training(run)
    summary = read_json(run.outputs.summary)
    assert (summary["best_update"], summary["dev"], summary["dev_scores"]) == (12, None, None)
    assert not [line for line in lines(run) if "dev" in line]


@pytest.mark.parametrize(
    ("updates", "evaluations", "at"), [(12, 5, [3, 6, 9, 12]), (7, 3, [3, 6, 7]), (3, 9, [1, 2, 3])]
)
def test_dev_is_scored_as_often_as_asked_and_at_the_end(updates, evaluations, at, data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], data["aa/dev"], updates=updates, evaluations=evaluations)
    run_training(run)
    assert [line["update"] for line in lines(run) if "dev" in line] == at


def test_several_languages_have_a_macro_and_a_pooled_score(data, tmp_path):
    run = student_run(
        tmp_path,
        [data["aa/train"], data["bb/train"]],
        [data["aa/dev"], data["bb/dev"]],
        objective="baseline",
        updates=20,
    )
    run_training(run)
    dev = next(line["dev"] for line in reversed(lines(run)) if "dev" in line)
    assert set(dev) == {"macro", "pooled", "aa", "bb"}
    assert dev["macro"] == pytest.approx((dev["aa"] + dev["bb"]) / 2)
    assert min(dev["aa"], dev["bb"]) <= dev["pooled"] <= max(dev["aa"], dev["bb"])


def test_a_teacher_of_several_languages_learns_all_of_them(data, tmp_path):
    common = {"task": "ner", "labels": LABELS, "decoder": "crf", "encoder": TINY, "seed": 0, "machine": Machine()}
    settings = SharedTeacherSettings(updates=60, hidden=16, batch_words=60, learning_rate=3e-2, sampling=0.5)
    train, dev = ([data[f"{language}/{split}"] for language in ("aa", "bb")] for split in ("train", "dev"))
    run = Run.for_teacher(settings, train, dev, outputs=outputs_in(tmp_path), **common)
    run_training(run)
    assert min(read_json(run.outputs.summary)["dev_scores"][language] for language in ("aa", "bb")) > 50
    assert read_json(run.outputs.model / "config.json")["languages"] == ["aa", "bb"]


# ---- settings


def learning_rates(run: Run) -> list[float]:
    run_training(run)
    return [line["learning_rate"] for line in lines(run) if "learning_rate" in line]


def test_schedules(data, tmp_path):
    def rates(**settings) -> list[float]:
        name = "-".join(map(str, settings.values()))
        return learning_rates(
            teacher_run(tmp_path / name, data["aa/train"], updates=10, learning_rate=1.0, clip=1e-3, **settings)
        )

    assert rates(schedule="linear") == pytest.approx([1 - n / 10 for n in range(10)])
    assert rates(schedule="constant") == [1.0] * 10
    assert rates(schedule="constant", warmup=0.4) == pytest.approx([0, 0.25, 0.5, 0.75, *[1.0] * 6])
    assert rates(schedule="linear", warmup=0.5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_a_plateau_halves_the_learning_rate(data, tmp_path, monkeypatch):
    monkeypatch.setattr(assemble, "dev_score", lambda *_: lambda model: {"macro": 1.0, "pooled": 1.0})
    run = teacher_run(tmp_path, data["aa/train"], data["aa/dev"], updates=26, evaluations=26, schedule="plateau")
    found = learning_rates(run)
    assert found == [3e-2] * 12 + [1.5e-2] * 11 + [7.5e-3] * 3


def test_what_a_plateau_needs_is_said(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], schedule="plateau")
    with pytest.raises(ConfigError, match="schedule: 'plateau' follows the dev score, and there is no dev set"):
        run_training(run)
    with pytest.raises(ConfigError, match="config: teacher: `schedule: plateau` has no `warmup`"):
        validate(TeacherSettings, {"updates": 5, "schedule": "plateau", "warmup": 0.1}, "config: teacher")


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": 9},
        {"dropout": 0.2},
        {"word_dropout": 0.3},
        {"head": "mlp"},
        {"head": "linear"},
        {"batch_words": 90},
        {"optimizer": "sgd"},
        {"learning_rate": 2e-2},
        {"learning_rate_transitions": 0.5},
        {"weight_decay": 0.5},
        {"clip": 0.01},
        {"warmup": 0.5},
        {"schedule": "constant"},
        {"updates": 11},
    ],
    ids=str,
)
def test_every_setting_changes_the_weights(settings, plain_weights, data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], **settings)
    run_training(run)
    assert weights(run) != plain_weights


@pytest.fixture(scope="module")
def plain_weights(data, tmp_path_factory) -> str:
    run = teacher_run(tmp_path_factory.mktemp("plain"), data["aa/train"])
    run_training(run)
    return weights(run)


def test_a_run_that_diverges_says_so(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], optimizer="sgd", learning_rate=1e38, clip=1e9, updates=10)
    with pytest.raises(TagdistillError, match=r"the loss is not finite at update 2\n") as raised:
        run_training(run)
    assert "Lower `learning_rate`" in str(raised.value)
    assert not run.outputs.model.exists()


def test_features_of_another_layer_are_refused(data, tmp_path):
    run = teacher_run(tmp_path, data["aa/train"], encoder=TINY.model_copy(update={"tap": 1}))
    with pytest.raises(MismatchError, match=r"taps is \[2\], needed is \[1\]"):
        run_training(run)


def test_a_dev_set_without_labels_is_refused(data, tmp_path):
    dev = files_of(make_corpus(tmp_path, "aa", "dev", 5, labelled=False))
    with pytest.raises(DataError, match="the dev set has no labels"):
        run_training(teacher_run(tmp_path / "run", data["aa/train"], dev))


@pytest.mark.parametrize(("seconds", "update", "due"), [(0, 5, True), (0, 10, False), (1000, 5, False)])
def test_a_checkpoint_is_due_after_some_time_and_not_after_the_last_update(seconds, update, due, tmp_path, monkeypatch):
    monkeypatch.setenv("TAGDISTILL_CHECKPOINT_SECONDS", str(seconds))
    assert Checkpoints(tmp_path, Processes()).due(update, 10) is due


def test_the_clock_of_checkpoints_begins_again_with_each(tmp_path):
    made = Checkpoints(tmp_path, Processes())
    made.saved -= 1000
    assert made.due(5, 10)
    made.save(5, lambda folder: (folder / "weights").write_bytes(b"w"))
    assert not made.due(6, 10)


def test_of_equal_dev_scores_the_first_is_kept(tmp_path):
    model = SimpleNamespace(own_state=lambda: {"weights": torch.zeros(1)})
    for update, score in ((1, 50.0), (2, 50.0), (3, 49.0)):
        keep_if_best(model, tmp_path, score, update)
    assert best_of(tmp_path) == Best(50.0, 1)


@pytest.mark.parametrize(("updates", "scored"), [(250, [63, 126, 189, 250]), (8, [2, 4, 6, 8]), (3, [1, 2, 3])])
def test_dev_is_scored_as_often_as_asked_and_after_the_last_update(updates, scored):
    def now(update: int) -> bool:
        made = SimpleNamespace(updates=[None] * updates, settings=SimpleNamespace(evaluations=4), update=update)
        return trainer.Trainer._scores_now(made)

    assert [update for update in range(1, updates + 1) if now(update)] == scored


def test_one_process_completes_a_checkpoint_with_the_seconds_before_a_kill(tmp_path, monkeypatch):
    first, other = Checkpoints(tmp_path, Processes(), "f", 100.0), Checkpoints(tmp_path, Processes(1, 2), "f")
    assert 100 <= first.seconds < 110 and other.seconds < 10
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    (tmp_path / BEST).write_bytes(b"best")
    other.save(7, lambda folder: (folder / "second").write_bytes(b"2"))
    assert [path.name for path in (tmp_path / "checkpoint-7").iterdir()] == ["second"]
    for update in (7, 8, 10):
        first.save(update, lambda folder: (folder / "weights").write_bytes(b"w"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, "checkpoint-10", "checkpoint-8"]
    written = read_json(tmp_path / "checkpoint-10" / COMPLETE)
    files = {"weights": b"w", BEST: b"best"}
    assert written["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert (written["fingerprint"], written["update"]) == ("f", 10)
    assert 100 <= written["seconds"] == seconds_of(tmp_path / "checkpoint-10") < 110
    assert last_checkpoint(tmp_path, "f") == tmp_path / "checkpoint-10"


# ---- fine-tuning


def tuned(folder: Path, data, place: Path | None, **rest) -> Run:
    text = {name: CorpusFiles(files.language, files.corpus) for name, files in data.items()}
    more = {"mode": "finetune", "head": "linear", "tune_from": 1, "updates": 8, "learning_rate_encoder": 1e-3, **rest}
    return teacher_run(folder, text["aa/train"], text["aa/dev"], encoder_folder=place, **more)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False], ids=["embeddings frozen", "embeddings tuned"])
def test_fine_tuning_trains_its_layers_and_resumes_to_the_bit(frozen, data, encoder, tmp_path, monkeypatch):
    settings = TINY.model_copy(update={"freeze_embeddings": frozen})
    whole, broken = (tuned(tmp_path / name, data, encoder, encoder=settings) for name in ("whole", "broken"))
    run_training(whole)
    with interrupted(monkeypatch, saves={2, 4}, at=6):
        run_training(broken)
    run_training(broken)
    assert weights(broken) == weights(whole)
    state = load_file(whole.outputs.model / "model.safetensors")
    held = {name.split(".")[2] for name in state if name.startswith("encoder.blocks.") and frozen}
    assert held == ({"0", "1"} if frozen else set())  # layers 1 and 2 of 3: those below are not the model's
    assert any("word_embeddings" in name for name in state) is not frozen
    if not frozen:
        before = load_file(encoder / "model.safetensors")
        name = next(name for name in state if name.endswith("embeddings.word_embeddings.weight"))
        stored = next(value for key, value in before.items() if key.endswith("embeddings.word_embeddings.weight"))
        assert not torch.equal(state[name], stored.float())


def test_tuning_from_above_the_top_is_refused(data, encoder, tmp_path):
    with pytest.raises(ConfigError, match=r"tune_from: tunes from layer 3, but `encoder\.layers` keeps 3"):
        run_training(tuned(tmp_path, data, encoder, tune_from=3))
    with pytest.raises(ConfigError, match=r"encoder\.layers: layer 9"):
        run_training(tuned(tmp_path, data, encoder, encoder=TINY.model_copy(update={"layers": 9})))


def test_fine_tuning_without_an_encoder_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match="--encoder: fine-tuning needs the encoder's folder"):
        run_training(tuned(tmp_path, data, None))


@pytest.mark.parametrize("settings", [{"learning_rate_encoder": 1e-2}, {"tune_from": 2}, {"tune_from": 0}], ids=str)
def test_settings_of_fine_tuning_change_the_weights(settings, data, encoder, tmp_path):
    plain, other = (
        tuned(tmp_path / "a", data, encoder, updates=3, select="last"),
        tuned(tmp_path / "b", data, encoder, **{"updates": 3, "select": "last", **settings}),
    )
    run_training(plain)
    run_training(other)
    heads = [load_file(run.outputs.model / "model.safetensors")["tagger.emission.weight"] for run in (plain, other)]
    assert not torch.equal(*heads)


def test_targets_of_two_teachers_for_one_language_are_refused():
    def source(language: str, teacher: str | None) -> Source:
        return Source(language, [["a"]], np.array([0, 1]), teacher=teacher)

    assert one_teacher_each([source("fr", "a"), source("nl", "b"), source("fr", "a")]) == {"fr": "a", "nl": "b"}
    assert one_teacher_each([source("fr", None)]) == {}
    with pytest.raises(MismatchError, match="fr: targets of two teachers"):
        one_teacher_each([source("fr", "a"), source("fr", "c")])
