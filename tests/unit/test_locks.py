"""Locks: one holder at a time, every wait is bounded and says for whom, and nothing stays behind."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tagdistill.artifacts import locks
from tagdistill.artifacts.locks import locked
from tagdistill.errors import TagdistillError

# Without the lock, and if its file were removed at the wrong moment, some of the additions would be lost.
ADD = """
import fcntl, sys
from pathlib import Path
from tagdistill.artifacts.locks import locked
def flock(*_):
    raise OSError(int(sys.argv[3]), "no locks")
if int(sys.argv[3]):
    fcntl.flock = flock
number = Path(sys.argv[1]) / "number"
for _ in range(int(sys.argv[2])):
    with locked(Path(sys.argv[1]) / "lock", "adding", 60):
        number.write_text(str(int(number.read_text()) + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from tagdistill.artifacts import locks
with locks.locked(Path(sys.argv[1]), "training this model", 60):
    print("held", flush=True)
    time.sleep(60)
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def no_flock(request, monkeypatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.slow
@pytest.mark.parametrize(("missing", "times"), [(0, 25), (errno.ENOTSUP, 4)])
def test_processes_hold_it_one_after_the_other(missing, times, tmp_path):
    (tmp_path / "number").write_text("0")
    processes = [started(ADD, tmp_path, times, missing) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == str(3 * times)
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_a_wait_is_bounded_and_says_for_whom(tmp_path, caplog):
    lock = tmp_path / "training.lock"
    holder = started(HOLD, lock)
    assert holder.stdout is not None
    holder.stdout.readline()
    with (
        pytest.raises(TagdistillError, match=r"is training this model, and has not ended after 0\.5 s") as caught,
        locked(lock, "training this model", 0.5),
    ):
        pass
    assert f"process {holder.pid} of " in str(caught.value) and caught.value.where == str(lock)
    assert f"process {holder.pid} of " in caplog.text and "waiting for it to end" in caplog.text
    holder.kill()
    holder.wait()
    with locked(lock, "training this model", 60) as waited:  # a lock ends with its owner
        assert not waited
    assert not lock.exists()


def test_who_waited_is_told_so(tmp_path):
    lock, seen = tmp_path / "lock", []

    def second() -> None:
        with locked(lock, "testing", 60) as waited:
            seen.append(waited)

    with locked(lock, "testing", 60) as waited:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        assert seen == [] and not waited
    thread.join(10)
    assert seen == [True]


@pytest.mark.slow
@pytest.mark.parametrize("no_flock", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK], indirect=True)
def test_without_locks_of_the_file_system_a_lease_stands_in(no_flock, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(locks, "LEASE", 1.0)
    lock = tmp_path / "lock"
    with locked(lock, "testing", 60) as waited:
        assert not waited and "this file system has no locks" in caplog.text
        time.sleep(1.5)  # longer than a lease: its owner renews it
        with pytest.raises(TagdistillError, match="is testing, and has not ended"), locked(lock, "testing", 0.3):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("no_flock", [errno.ENOTSUP], indirect=True)
def test_the_lease_of_a_dead_owner_ends(no_flock, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "LEASE", 1.0)
    lock = tmp_path / "lock"
    code = "import fcntl, os\ndef flock(*_): raise OSError(95, 'no')\nfcntl.flock = flock\n"
    holder = started(code + HOLD.replace("with locks", "locks.LEASE = 1.0\nwith locks"), lock)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    with locked(lock, "testing", 20):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_has_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o002)
    try:
        with locked(tmp_path / "lock", "testing", 1):
            assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o664
    finally:
        os.umask(before)


def test_a_lock_that_may_not_be_opened_is_told_with_its_owner(tmp_path, monkeypatch):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setattr("filelock.FileLock.acquire", denied)
    with pytest.raises(TagdistillError, match="permission denied") as caught, locked(lock, "testing", 1):
        pass
    assert caught.value.where == str(lock) and caught.value.hint == locks.owner(lock)


def test_a_lock_that_cannot_be_removed_is_released_all_the_same(tmp_path, monkeypatch):
    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    with monkeypatch.context() as patch, locked(tmp_path / "lock", "testing", 1):
        patch.setattr(Path, "unlink", busy)
    with locked(tmp_path / "lock", "testing", 1) as waited:
        assert not waited
