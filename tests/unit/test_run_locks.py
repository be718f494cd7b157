"""Snakemake's locks where several runs begin and end in one folder."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from snakemake.exceptions import LockException, WorkflowError
from snakemake.persistence.file import FilePersistence

from tagdistill.artifacts.locks import locked
from tagdistill.workflow import run_locks
from tagdistill.workflow.run_locks import keep_locks_of_others


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> type[FilePersistence]:
    """A class of its own: Snakemake's stays as it is."""
    own = type("Own", (FilePersistence,), {})
    monkeypatch.setattr("snakemake.persistence.file.FilePersistence", own)
    keep_locks_of_others()
    keep_locks_of_others()  # as in a second Snakefile of the process
    return own


def run(kind: type[FilePersistence], folder: Path, *files: str) -> FilePersistence:
    """Return the locks of a run that makes some files."""
    made = kind.__new__(kind)
    made._path, made._lockdir, made._lockfile = folder, str(folder / "locks"), {}
    made.all_inputfiles, made.all_outputfiles = list, lambda: list(files)
    (folder / "locks").mkdir(exist_ok=True)
    return made


def wait_for(condition, seconds: float = 3) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def locks(folder: Path) -> list[str]:
    return sorted(file.read_text().strip() for file in (folder / "locks").iterdir())


def test_a_run_removes_its_own_locks_alone_and_unlock_removes_all(changed: type[FilePersistence], tmp_path: Path):
    first, second, third = (run(changed, tmp_path, name) for name in "aba")
    with first.lock():
        with second.lock():
            assert locks(tmp_path) == ["a", "b"]
        assert locks(tmp_path) == ["a"]
        with run(changed, tmp_path).lock():  # nothing to do
            pass
        with pytest.raises(LockException), third.lock():
            raise AssertionError("both make it")
        assert locks(tmp_path) == ["a"]
    assert locks(tmp_path) == []
    with first.lock():
        third.cleanup_locks()
        assert not (tmp_path / "locks").exists()


def test_of_runs_that_begin_at_the_same_moment_one_gets_the_lock(
    changed: type[FilePersistence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    looked = threading.Barrier(2)
    read = changed._read_locks

    def slowly(self):
        found = list(read(self))
        with suppress(threading.BrokenBarrierError):  # the other has not looked before this one wrote
            looked.wait(0.5)
        return found

    monkeypatch.setattr(changed, "_read_locks", slowly)
    held, ended = [], []

    def begin() -> None:
        try:
            with run(changed, tmp_path, "a").lock():
                held.append(True)
                wait_for(lambda: ended)  # the other one is refused
        except LockException:
            pass
        ended.append(True)

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [True]


def test_a_run_that_waited_in_vain_for_its_turn_ends_with_an_error_of_snakemakes(changed, tmp_path, monkeypatch):
    monkeypatch.setattr(run_locks, "PATIENCE", 0.1)
    with (
        locked(tmp_path / run_locks.TURN, "beginning a run", 1),
        pytest.raises(WorkflowError, match="is beginning a run, and has not ended"),
        run(changed, tmp_path, "a").lock(),
    ):
        raise AssertionError("it is not its turn")
