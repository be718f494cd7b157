"""Processes of Python that start warm: forked from one that has imported what they need.

`command` starts a server, once for each list of modules, and returns a command line. That one hands its arguments,
working folder, environment and streams to the server; a fork of the server becomes what `python -m MODULE` would be,
and the command line ends as it ends. Nothing of tagdistill is imported before the fork: each process reads the sources
that its PYTHONPATH names. Linux alone is known to fork well after large imports; elsewhere each process starts cold.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).with_name("warm_client.py")
SNAKEMAKE = ("snakemake.cli", "snakemake.persistence.file", "snakemake.scheduling.job_scheduler")
MODELS = (
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "torch.utils.data",
    "safetensors.torch",
    "tokenizers",
)


@cache
def command(module: str, *imports: str) -> list[str]:
    """Return the command line that stands for `python -m MODULE`, after the start of a server that has imported."""
    cold = [sys.executable, "-m", module]
    if sys.platform != "linux":
        return cold
    folder = tempfile.mkdtemp(prefix="warm-")  # short: the name of a socket has a hundred characters at most
    server = subprocess.Popen(
        [sys.executable, __file__, f"{folder}/socket", module, *imports],
        stdin=subprocess.PIPE,  # closed by the end of this process, however it ends
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stdin.close)
    assert server.stdout.readline() == "ready\n"
    server.stdout.close()
    return [sys.executable, "-IS", str(CLIENT), f"{folder}/socket"]


def script(folder: Path, name: str, *imports: str) -> Path:
    """Write a command NAME that starts warm into a folder, and return the folder."""
    words = " ".join(f"'{word}'" for word in command(name, *imports))
    (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    (folder / name).chmod(0o755)
    return folder


# -- the server


def serve(path: str, module: str, imports: list[str]) -> None:
    """Answer until standard input ends. Returns in the forked processes alone, ready to be `python -m MODULE`."""
    for name in imports:
        import_module(name)
    assert not [name for name in sys.modules if name.partition(".")[0] == "tagdistill"]
    own = set(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    installed = [entry for entry in sys.path[1:] if entry not in own]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)  # noqa: T201
    gc.freeze()  # so that no collection writes to, and thereby copies, what the forks share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    if os.fork() == 0:  # ends this process with the one that started it
        sys.stdin.read()
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(0)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            break
        connection.close()
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as sent:
        asked = json.loads(sent.read(int.from_bytes(size)))
    if job := os.fork():
        for stream in streams:
            os.close(stream)
        connection.sendall(f"{job}\n".encode())
        _, status = os.waitpid(job, 0)
        connection.sendall(f"{status}\n".encode())
        os._exit(0)
    connection.close()
    become(asked, streams)
    sys.argv = [module, *asked["arguments"]]
    sys.path[:] = [asked["folder"], *asked["environment"].get("PYTHONPATH", "").split(os.pathsep), *installed]


def become(asked: dict[str, Any], streams: list[int]) -> None:
    """Take the streams, the working folder and the environment of the process that asked."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.orig_argv = [sys.executable, "-m", *asked["arguments"]]


def finish(module: str) -> None:
    """Be `python -m MODULE`, but leave the clearing away of all that was imported to the system."""
    code: Any = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)  # noqa: T201
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3:])
    finish(sys.argv[0])
