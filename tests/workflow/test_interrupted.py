"""A run that is killed or that fails: what is left, what the message says, and the one command that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from projects import Project, experiment

from tagdistill.artifacts.files import sha256_file
from tagdistill.training.checkpoints import COMPLETE

STUDENTS = "results/tiny/students"
MODEL = f"{STUDENTS}/posterior/seed-0/model"  # a link
CORPUS = "results/tiny/data/en/test.parquet"


def hashes(project: Project, folder: str = "results") -> dict[str, str]:
    """Return the checksum of every result file, Snakemake's own time stamps left out."""
    files = [file for file in sorted((project.path / folder).rglob("*")) if file.is_file() and not file.is_symlink()]
    return {str(f.relative_to(project.path)): sha256_file(f) for f in files if f.name != ".snakemake_timestamp"}


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def log_of(project: Project) -> Path:
    """Return the log of the training of the student that the link leads to."""
    key = (project.path / MODEL).resolve().parent.name
    return project.path / f"logs/tiny/train_student/posterior-0.{key}.log"


def one_student() -> dict[str, Any]:
    """Return the experiment with one student, who trains for some seconds."""
    values = experiment()
    values["distill"]["objectives"] = ["posterior"]
    values["student"] |= {"updates": 600, "evaluations": 4}
    return values


@pytest.fixture(scope="module")
def uninterrupted(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of the student's model if nothing happens to its training."""
    project = finished.copy(tmp_path_factory.mktemp("uninterrupted") / "project")
    done = project.run(one_student(), "students")
    assert done.returncode == 0, done.stdout[-4000:]
    return hashes(project, MODEL)


@contextmanager
def training(project: Project, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start Snakemake in a group of its own and wait until the student has saved a whole checkpoint."""
    process = subprocess.Popen(
        project.command(config, "--cores", "2", "students"),
        cwd=project.path,
        env=project.environment() | {"TAGDISTILL_CHECKPOINT_SECONDS": "0.2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # which nohup ignores
    )
    try:
        wait_for(lambda: any((project.path / MODEL).resolve().parent.glob(f"checkpoints/*/{COMPLETE}")))
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: group_is_gone(process.pid))


def test_a_killed_run_goes_on_from_its_checkpoint_and_ends_with_the_same_model(
    copied: Project, uninterrupted: dict[str, str]
):
    config = copied.write(one_student())
    with training(copied, config) as process:
        os.killpg(process.pid, signal.SIGKILL)
    refused = copied.snakemake(config, "--cores", "2")
    assert refused.returncode == 1
    assert "--unlock" in refused.stdout  # the message names the way out
    unlocked = copied.snakemake(config, "--unlock")
    assert unlocked.returncode == 0, unlocked.stdout
    again = copied.snakemake(config, "--cores", "2", "students")
    assert again.returncode == 0, again.stdout[-4000:]
    assert "resuming from checkpoint-" in log_of(copied).read_text(encoding="utf-8")
    assert hashes(copied, MODEL) == uninterrupted
    assert copied.plan(one_student(), "students").jobs == []


def test_a_run_that_loses_its_terminal_leaves_no_lock(copied: Project):
    with training(copied, copied.write(one_student())) as process:
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(60) == 1
    assert not any((copied.path / ".snakemake/locks").iterdir())


def test_a_training_that_outlives_its_snakemake_is_waited_for_and_its_model_is_taken(
    copied: Project, uninterrupted: dict[str, str]
):
    config = copied.write(one_student())
    with training(copied, config) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        (orphan,) = (child for child in children if "train-student" in child.cmdline() and "tagdistill" in child.name())
        orphan.suspend()  # a slow one: it holds its lock until the next Snakemake has started the job again
        process.kill()
        process.wait()
        log = log_of(copied)
        old = log.stat().st_ino
        assert copied.snakemake(config, "--unlock").returncode == 0
        second = subprocess.Popen(
            copied.command(config, "--cores", "2", "students"),
            cwd=copied.path,
            env=copied.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(lambda: log.exists() and log.stat().st_ino != old and "waiting for it to end" in log.read_text())
        assert orphan.is_running() and not (copied.path / MODEL).exists()
        orphan.resume()
        said, _ = second.communicate(timeout=120)
        assert second.returncode == 0, said[-4000:]
        assert not orphan.is_running()
    assert "nothing is left to do" in log.read_text(encoding="utf-8")
    assert hashes(copied, MODEL) == uninterrupted
    assert copied.plan(one_student(), "students").jobs == []


def test_a_training_that_ends_after_its_snakemake_goes_on_from_its_checkpoint(
    copied: Project, uninterrupted: dict[str, str]
):
    config = copied.write(one_student())
    with training(copied, config) as process:
        (job,) = (x for x in psutil.Process(process.pid).children(recursive=True) if "train-student" in x.cmdline())
        process.kill()
        process.wait()
        psutil.wait_procs([job], 120)
    checkpoints = (copied.path / MODEL).resolve().parent / "checkpoints"
    assert (copied.path / MODEL / "config.json").exists() and any(checkpoints.glob(f"*/{COMPLETE}"))
    assert "this run's Snakemake is gone" in log_of(copied).read_text(encoding="utf-8")
    assert copied.snakemake(config, "--unlock").returncode == 0
    again = copied.run(config, "students")
    assert again.returncode == 0, again.stdout[-4000:]
    assert "resuming from checkpoint-" in log_of(copied).read_text(encoding="utf-8")
    assert hashes(copied, MODEL) == uninterrupted and not checkpoints.exists()


def test_a_failed_job_keeps_what_others_finished_and_says_why(copied: Project, finished: Project):
    before, record = hashes(finished), "results/tiny/made_of.jsonl"
    broken = copied.path / "data/en/test.conll"
    good = broken.read_bytes()
    broken.write_bytes(b"Ada S-PER\nsings O\n\nin Q-XYZ\n" + good)
    values = experiment()
    values["teacher"]["seeds"] = [0, 1]
    another = "results/tiny/teachers/es/crf/seed-1/model"  # of another language than the broken file's
    done = copied.run(values, another, "results/tiny/data/en/report.json")
    assert done.returncode == 1
    assert "Error in rule prepare" in done.stdout
    assert "data/en/test.conll:4" in done.stdout and "Q-XYZ" in done.stdout  # the end of the log is shown
    assert "Traceback" not in done.stdout and "--job" not in done.stdout  # no command line of a thousand characters
    assert "Put it right and give the same command again" in done.stdout
    assert (copied.path / another / "model.safetensors").is_file()  # independent jobs went on
    after = hashes(copied) | {record: before[record]}
    assert {name for name, sha in before.items() if after.get(name) != sha} == set()  # another file, another result
    assert not (copied.path / CORPUS).exists()  # that of the broken file
    broken.write_bytes(good)
    mended = copied.run(experiment(), CORPUS)
    assert mended.returncode == 0, mended.stdout[-4000:]
    assert (copied.path / CORPUS).read_bytes() == (finished.path / CORPUS).read_bytes()
    assert copied.plan(experiment()).count == {}


def test_a_run_that_cannot_start_changes_nothing(copied: Project, finished: Project):
    (copied.path / "data/en/train.conll").unlink()
    done = copied.run(experiment())
    assert done.returncode == 1
    assert "languages.en.train: no such file: data/en/train.conll" in done.stdout
    assert hashes(copied) == hashes(finished)


def test_two_runs_at_once_are_refused_in_words(copied: Project):
    config = copied.write(experiment())
    # A lock as a running Snakemake holds it.
    locks = copied.path / ".snakemake/locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text("results/tiny/report/index.html\n", encoding="utf-8")
    (copied.path / "results/tiny/report/index.html").unlink()
    done = copied.snakemake(config, "--cores", "2")
    assert done.returncode == 1
    assert "lock" in done.stdout.lower() and "Traceback" not in done.stdout
    assert copied.snakemake(config, "--unlock").returncode == 0
    assert not any(locks.iterdir()) if locks.exists() else True


def test_a_run_that_ends_leaves_the_locks_of_others(copied: Project):
    # As another Snakemake holds it, which makes something else.
    lock = copied.path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("results/other/report/index.html\n", encoding="utf-8")
    config = copied.write(experiment())
    done = copied.snakemake(config, "--cores", "2")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout
    assert [x.name for x in lock.parent.iterdir()] == [lock.name]
    assert copied.snakemake(config, "--unlock").returncode == 0
    assert not lock.exists()


def test_a_clock_that_was_set_back_costs_no_result(copied: Project):
    models = (copied.path / "results/shared/students/baseline").rglob("*")
    for file in [*models, *(copied.path / "results/shared/data").rglob("*.parquet")]:
        os.utime(file, (time.time() + 86400,) * 2)
    metrics = copied.real("metrics/students/baseline/seed-0/en.json")
    before = hashes(copied)
    metrics.unlink()
    done = copied.run(experiment(), "results/tiny/metrics/students/baseline/seed-0/en.json")
    assert done.returncode == 0, done.stdout[-4000:]
    assert hashes(copied) == before
    assert copied.plan(experiment()).jobs == []
