"""Locks between processes, on one machine or on several that share a file system."""

from __future__ import annotations

import errno
import getpass
import json
import logging
import os
import platform
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, SoftFileLease, Timeout

from tagdistill.artifacts.files import discard
from tagdistill.artifacts.write_errors import owner
from tagdistill.errors import TagdistillError
from tagdistill.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filelock import BaseFileLock

log = logging.getLogger(__name__)
# What flock says where the file system has none: Lustre without `flock`, some FUSE and NFS mounts.
NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
LEASE = 120.0  # seconds after which a lease that is not renewed is over: its owner is dead
REMIND = 600.0  # seconds between two lines of somebody who waits


@contextmanager
def locked(path: Path, doing: str, patience: float) -> Iterator[bool]:
    """Hold the lock file `path` during the block; yield whether another process held it first.

    `doing` says what the lock is for, in messages: "training this model". After `patience` seconds of waiting a
    TagdistillError names the process that holds the lock. The file is removed at the end. Where the file system has no
    locks a lease stands in for one: a file that its owner renews, and that is over if it does not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, waited = _acquire(path, doing, patience)
    _sign(path, lock)
    try:
        yield waited
    finally:
        # While it is held: who waits finds that the file has another name, or none, and opens the new one.
        if isinstance(lock, FileLock):
            discard(path)
        with suppress(OSError):
            lock.release()


def _acquire(path: Path, doing: str, patience: float) -> tuple[BaseFileLock, bool]:
    native = FileLock(path, fallback_to_soft=False)
    try:
        return native, _wait(native, path, doing, patience)
    except PermissionError as error:
        raise TagdistillError("permission denied", where=str(path), hint=owner(path)) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    log.warning("%s: this file system has no locks: a file that is renewed stands in for one", path.parent)
    discard(path)
    lease = SoftFileLease(path.with_name(f"{path.name}.lease"), lease_duration=LEASE)
    return lease, _wait(lease, path, doing, patience)


def _wait(lock: BaseFileLock, path: Path, doing: str, patience: float) -> bool:
    """Acquire a lock; return whether it had to be waited for."""
    began, waited = time.monotonic(), False
    while True:
        left = patience - (time.monotonic() - began)
        try:
            lock.acquire(timeout=max(0.0, min(REMIND, left)) if waited else 0, poll_interval=0.2)
        except Timeout:
            if waited and left <= REMIND:
                raise TagdistillError(
                    f"{_holder(path)} is {doing}, and has not ended after {duration(patience)}",
                    where=str(path),
                    hint="Wait for it or end it, and run again. If no such process is left, delete this file.",
                ) from None
            log.warning("%s is %s (%s is locked): waiting for it to end", _holder(path), doing, path)
            waited = True
        else:
            return waited


def _sign(path: Path, lock: BaseFileLock) -> None:
    """Write into the lock file who holds it; a lease says it itself."""
    if isinstance(lock, FileLock):
        holder = {"user": _user(), "process": os.getpid(), "machine": platform.node()}
        with suppress(OSError):  # a message to others: nothing depends on it
            path.write_text(json.dumps(holder), encoding="utf-8")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        return str(os.getuid())


def _holder(path: Path) -> str:
    """Return who holds a lock, as far as its file says."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['process']} of {holder['user']} on {holder['machine']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
