"""Whether the jobs of a run are forked, the start and the end of their server, and what benchmarks measure then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from tagdistill.experiment.stage_modules import DATA_REPORT, ENCODE, EVALUATE, PREPARE, SCORE, TARGETS, TRAIN
from tagdistill.workflow.forking import client, server

if TYPE_CHECKING:
    from collections.abc import Sized

VARIABLE = "TAGDISTILL_FORK"  # `no`: each job imports what it needs
COMMAND = "tagdistill"
LONGEST = 100  # bytes of a socket's path; Linux takes 107
FEW = 4  # jobs, whose imports take about as long as those of a server
# What needs no torch comes first, and so do the jobs that need nothing else. The report, one job, imports its own.
IMPORTS = (
    *("tagdistill.cli.main", "tagdistill.experiment.jobs", "pandas", "pyarrow.compute", PREPARE, DATA_REPORT),
    *(ENCODE, TRAIN, SCORE, TARGETS, EVALUATE),
)
# By these Snakemake says how many threads a job has: those of more than one are not forked.
THREADS = (
    *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
GPUS = ("nvidia[0-9]*", "kfd", "dxg")  # in /dev


class Forks:
    """The server from which the jobs of one run are forked: a process of its own, which ends with the run."""

    def __init__(self) -> None:
        self.server: subprocess.Popen[bytes] | None = None
        self.folder, self.path = Path(), ""

    def start(self, workflow: Any, device: str, jobs: Sized) -> bool:
        """Start the server where that can be and pays, and return whether; what jobs run becomes its client."""
        program = own_command()
        if program is None or len(jobs) < FEW or not can_fork(workflow, device):
            return False
        folder = client_folder(program)
        if folder is None:
            return False
        self.folder, self.path = folder, os.environ["PATH"]
        os.environ["PATH"] = f"{folder}{os.pathsep}{self.path}"
        measure_forks(folder)
        self.server = subprocess.Popen(
            [sys.executable, server.__file__, folder, COMMAND, *IMPORTS],
            stdin=subprocess.PIPE,  # closed by the end of this process, however it ends
            stdout=subprocess.DEVNULL,
            stderr=None if is_open(2) else subprocess.DEVNULL,  # forks have one of their own
            start_new_session=True,  # Ctrl-C is for the clients: they pass it on
            env=os.environ | dict.fromkeys(THREADS, "1"),
        )
        return True

    def end(self) -> None:
        """End the server, if there is one."""
        if self.server is None or self.server.stdin is None:
            return
        os.environ["PATH"] = self.path
        self.server.stdin.close()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # where it was killed it has not done so
        self.server = None


def is_open(number: int) -> bool:
    """Return whether a file descriptor of this process is open."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def own_command() -> Path | None:
    """Return the command `tagdistill` of this environment, None where jobs would run another."""
    own, found = Path(sys.executable).parent / COMMAND, shutil.which(COMMAND)
    return own if found and own.exists() and own.samefile(found) else None


def can_fork(workflow: Any, device: str) -> bool:
    """Return whether jobs of a run of Snakemake can be forks: they are on this machine, and use no GPU.

    CUDA cannot be used in forks of a process that looked for it. Forks after large imports are known to work on Linux.
    """
    gpu = device == "cuda" or (device == "auto" and any(any(Path("/dev").glob(name)) for name in GPUS))
    here = workflow.local_exec and not workflow.touch and not workflow.deployment_settings.deployment_method
    return sys.platform == "linux" and here and not gpu and os.environ.get(VARIABLE) != "no"


def client_folder(program: Path) -> Path | None:
    """Make a folder to stand first in PATH, whose command `tagdistill` asks the server in it; None where it cannot."""
    with suppress(OSError):  # nothing may be written there, or the disk is full
        folder = Path(tempfile.mkdtemp(prefix="tagdistill-"))
        words = [sys.executable, "-IS", client.__file__, folder / server.SOCKET, program]
        command = folder / COMMAND
        command.write_text(f'#!/bin/sh\nexec {" ".join(quote(str(word)) for word in words)} "$@"\n', encoding="utf-8")
        command.chmod(0o700)
        in_path = os.pathsep not in str(folder)
        if in_path and os.access(command, os.X_OK) and len(os.fsencode(folder / server.SOCKET)) <= LONGEST:
            return folder
        shutil.rmtree(folder)
    return None


def measure_forks(folder: Path) -> None:
    """Have Snakemake's benchmarks measure jobs that are forked, which do not come from the shells that they look at.

    As a job runs, as any process of its shell; at its end, by what the system says that it took. (On its own Snakemake
    knows nothing of a job of less than half a second.)
    """
    import psutil
    from snakemake import benchmark

    class Shell(psutil.Process):  # type: ignore[misc]  # psutil has no types
        def children(self, recursive: bool = False) -> list[psutil.Process]:
            found = list(super().children(recursive))
            with suppress(OSError, ValueError, psutil.Error):  # nothing is forked for it, or not now
                job = psutil.Process(int(note_of(self.pid).read_text(encoding="ascii")))
                found += [job, *job.children(recursive)]
            return found

    class Timer(benchmark.BenchmarkTimer):  # type: ignore[misc]  # snakemake has no types
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.main = Shell(self.pid)
            with suppress(OSError):
                if note_of(self.pid).read_text(encoding="ascii").startswith("ended"):
                    note_of(self.pid).unlink()  # of an earlier shell that had this number

        def cancel(self) -> None:
            super().cancel()
            with suppress(OSError, ValueError):
                _, memory, seconds = note_of(self.pid).read_text(encoding="ascii").split()
                record = self.bench_record
                record.data_collected = True
                if (record.max_rss or 0) < int(memory) / 2048:  # of less than half: the job itself was not seen
                    record.max_vms = record.max_uss = record.max_pss = record.io_in = record.io_out = None
                record.max_rss = max(record.max_rss or 0, int(memory) / 1024)
                record.cpu_time, record.cpu_usage = float(seconds), 100 * float(seconds)  # in percent times seconds

    def note_of(shell: int) -> Path:
        return folder / str(shell)

    benchmark.BenchmarkTimer = Timer
