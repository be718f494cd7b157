"""The process that jobs are forked from: it imports what they need, once, and forks for each that client.py asks for.

    python server.py FOLDER MODULE IMPORT...

A fork becomes what `python -m MODULE` would be, with the arguments, folder, environment and streams of its client; it
is killed where the client or this process is. Nothing but the modules named is imported, tagdistill's own neither.
Standard input is open as long as jobs may come: at its end this process waits for those that run, and removes FOLDER.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource

SOCKET = "socket"
STDIN = 0
NOT_ASKED = 254  # how a fork ends whose client does the job itself
SET_DEATH_SIGNAL, SET_NAME = 1, 15  # of prctl(2)
if __name__ == "__main__":
    del sys.path[0]  # this folder: nothing is imported from it
INSTALLED = [entry for entry in sys.path if entry not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]


class Server:
    """Forks for clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / SOCKET))
        self.listener.listen(128)
        self.poller = select.poll()
        self.poller.register(self.listener, select.POLLIN)
        self.poller.register(STDIN, select.POLLIN)

    def serve(self, imports: list[str]) -> socket.socket | None:
        """Import and fork until standard input ends. Returns in a job's process its client, in this one None.

        A job that is asked for meanwhile waits for one import at most, and imports the others on its own.
        """
        modules = iter(imports)
        while self.listener.fileno() >= 0:
            module = next(modules, None)
            if module:
                import_module(module)
                gc.freeze()  # so that no collection writes to, and thereby copies, what the forks share
            if client := self._answer(0 if module else None):
                return client
            wait_for_children(os.WNOHANG)
        wait_for_children()
        shutil.rmtree(self.folder, ignore_errors=True)
        return None

    def _answer(self, timeout: int | None) -> socket.socket | None:
        """Wait so many milliseconds, or for ever, for a client or the end; return the client in a job's process."""
        for number, _ in self.poller.poll(timeout):
            if number == STDIN:
                self.listener.close()
                break
            try:
                client, _ = self.listener.accept()
            except OSError:  # no more descriptors for now
                time.sleep(0.1)
                break
            with suppress(OSError):  # no more processes: a client that is sent away needs none
                if not fork():
                    self.listener.close()
                    return attended(client, self.folder)
            client.close()
        return None


def wait_for_children(options: int = 0) -> None:
    """Wait for all children, or with `os.WNOHANG` for those that have ended; what they took counts as its own."""
    with suppress(ChildProcessError):  # there are none
        while os.waitpid(-1, options) != (0, 0):
            pass


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, value)


def fork() -> int:
    """Fork a process that is killed with this one; return its number, 0 in itself."""
    parent = os.getpid()
    if process := os.fork():
        return process
    _prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)
    return 0


def attended(client: socket.socket, folder: Path) -> socket.socket:
    """Return the client in a job's process alone; what goes wrong before ends the fork, not the server's loop in it."""
    try:
        attend(client, folder)
    except OSError:
        os._exit(1)
    return client


def attend(client: socket.socket, folder: Path) -> None:
    """Fork a job: returns in its process alone; this one waits for it and tells the client how it ended.

    Benchmarks find the job by notes: files named by the client's process and by that from which it comes, one of which
    is the job's shell. They hold the number of the job's process, later `ended`, its peak memory in KB and CPU seconds.
    """
    held, release = os.pipe()
    if not (job := fork()):
        os.close(release)
        os.read(held, 1)
        os.close(held)
        return
    asking, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with suppress(OSError):  # the client may be gone
        notes = [folder / str(asking), folder / _parent(asking)]
        _write(notes, str(job))
        client.sendall(f"{job}\n".encode())
        os.close(held)
        os.close(release)
        status, used = _end(job, client)
        with suppress(OSError):  # the disk may be full: then the job is not measured
            asked = os.waitstatus_to_exitcode(status) != NOT_ASKED
            _write(notes, f"ended {used.ru_maxrss} {used.ru_utime + used.ru_stime}" if asked else "")
        client.sendall(f"{status}\n".encode())
    os._exit(0)


def _parent(process: int) -> str:
    """Return the number of the process from which one comes."""
    text = Path("/proc", str(process), "stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()[1]  # the name, in brackets, may hold anything


def _write(notes: list[Path], text: str) -> None:
    for note in notes:
        note.write_text(text, encoding="ascii")


def _end(job: int, client: socket.socket) -> tuple[int, resource.struct_rusage]:
    """Return the status with which a job ends, and what it used; where its client ends first it is killed."""
    poller, ended = select.poll(), os.pidfd_open(job)
    poller.register(ended, select.POLLIN)
    poller.register(client, select.POLLRDHUP)
    if client.fileno() in dict(poller.poll()):
        os.kill(job, signal.SIGKILL)
    _, status, used = os.wait4(job, 0)
    return status, used


def become(module: str, client: socket.socket) -> None:
    """Take the arguments, folder, environment and streams of a client."""
    size, streams, _, _ = socket.recv_fds(client, 8, 3)
    if not size:  # it does the job itself
        os._exit(NOT_ASKED)
    with client, client.makefile("rb") as sent:
        count, folder, *rest = sent.read(*struct.unpack("Q", size)).split(b"\0")
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environb.clear()
    for variable in rest[int(count) :]:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value
    arguments = rest[: int(count)]
    _prctl(SET_NAME, (arguments or [os.fsencode(module)])[0][:15])  # which `top` shows
    sys.argv = [module, *map(os.fsdecode, arguments)]
    sys.orig_argv = [sys.executable, "-m", *sys.argv]
    sys.path[:] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *INSTALLED]


def run(module: str) -> int:
    """Be `python -m MODULE`; return its exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        sys.stderr.write(f"{stop.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> None:
    """End as Python does, without taking apart what was imported: a fifth of a second, and copies of what is shared."""
    threading._shutdown()  # type: ignore[attr-defined]  # ends pools of threads and waits, as Python does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Serve; in a fork be what it was asked for."""
    folder, module, *imports = sys.argv[1:]
    if client := Server(Path(folder)).serve(imports):
        become(module, client)
        end(run(module))


if __name__ == "__main__":
    main()
