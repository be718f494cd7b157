"""Jobs forked from one process: what they are, how they end, and when they are not forked."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tagdistill.workflow.forking import client, forks, server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")
JOB = """
import os, sys, time
print(os.getcwd(), os.environ["TMPDIR"], sys.argv[1:], sys.stdin.read(), "wave" in sys.modules)
print("a warning", file=sys.stderr)
match sys.argv[1]:
    case "sleep":
        print(os.getpid(), flush=True)
        time.sleep(60)
    case "fill":
        bytes(range(256)) * (int(sys.argv[2]) * 4096)
    case "pool":
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        pool.submit(print, "in a thread").result()
    case "leave":
        sys.exit(sys.argv[2])
    case "break":
        {}["a key"]
    case "end":
        sys.exit(int(sys.argv[2]))
"""
PROGRAM = """#!/bin/sh
echo its own program: "$@"
"""


def heed() -> None:
    """Do not ignore signals, as commands in the background and of `nohup` do, and what they start."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Jobs:
    """A server in a folder, and jobs that are asked of it."""

    def __init__(self, folder: Path, *imports: str) -> None:
        self.folder, self.program = folder / "server", folder / "program"
        self.folder.mkdir()
        self.program.write_text(PROGRAM, encoding="utf-8")
        self.program.chmod(0o755)
        (folder / "a_job.py").write_text(JOB, encoding="utf-8")
        self.environment = os.environ | {"PYTHONPATH": str(folder), "TMPDIR": str(folder)}
        self.server = subprocess.Popen(
            [sys.executable, server.__file__, self.folder, "a_job", *imports],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            preexec_fn=heed,
        )
        until(lambda: (self.folder / server.SOCKET).exists())

        self.command = [sys.executable, "-IS", client.__file__, str(self.folder / server.SOCKET), str(self.program)]

    def start(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=cwd,
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed,
        )

    def run(self, *arguments: str, **options: str) -> tuple[int, str, str]:
        job = self.start(*arguments, **options)
        out, error = job.communicate("its input")
        return job.returncode, out, error

    def end(self) -> None:
        assert self.server.stdin
        self.server.stdin.close()
        self.server.wait(timeout=20)


def until(what: Callable[[], bool]) -> None:
    for _ in range(1000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path, "wave")
    yield jobs
    jobs.end()
    assert not jobs.folder.exists()


def asleep(jobs: Jobs) -> tuple[subprocess.Popen[str], int]:
    """Return a job that sleeps: its client, and the number of its own process."""
    job = jobs.start("sleep")
    assert job.stdin and job.stdout
    job.stdin.close()
    job.stdout.readline()
    return job, int(job.stdout.readline())


def test_a_fork_has_the_arguments_folder_and_streams_of_its_client(jobs: Jobs, tmp_path: Path):
    place = tmp_path / "élan vital"
    place.mkdir()
    code, out, error = jobs.run("a b", "ß", "", cwd=place, TMPDIR="/elsewhere")
    assert (code, error) == (0, "a warning\n")
    assert out == f"{place} /elsewhere ['a b', 'ß', ''] its input True\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("end", "0"), 0, ""),
        (("end", "7"), 7, ""),
        (("leave", "so"), 1, "so\n"),
        (("break",), 1, "KeyError: 'a key'\n"),
    ],
)
def test_a_client_ends_as_its_job_does(jobs: Jobs, arguments: tuple[str, ...], code: int, message: str):
    found, _, error = jobs.run(*arguments)
    assert found == code and error.startswith("a warning\n") and error.endswith(message)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on(jobs: Jobs, number: signal.Signals):
    job, process = asleep(jobs)
    job.send_signal(number)
    assert job.wait(timeout=20) == -number
    assert gone(process)


def test_a_hang_up_that_is_ignored_is_not_passed_on(jobs: Jobs):
    """A run under `nohup` ignores it; a job forked by a server that does not would end by it."""
    job = subprocess.Popen(
        [*jobs.command, "sleep"],
        env=jobs.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert job.stdout
    job.stdout.readline()
    process = int(job.stdout.readline())
    job.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert job.poll() is None and not gone(process)
    job.terminate()
    assert job.wait(timeout=20) == -signal.SIGTERM


def test_ctrl_c_is_passed_on_as_what_python_makes_of_it(jobs: Jobs):
    job, process = asleep(jobs)
    job.send_signal(signal.SIGINT)
    assert job.wait(timeout=20) == 1 and job.stderr and "KeyboardInterrupt" in job.stderr.read()
    assert gone(process)


def test_a_job_is_killed_with_its_client(jobs: Jobs):
    job, process = asleep(jobs)
    job.kill()
    until(lambda: gone(process))


def test_a_client_tells_that_its_job_was_killed(jobs: Jobs):
    job, process = asleep(jobs)
    os.kill(process, signal.SIGKILL)
    assert job.wait(timeout=20) == -signal.SIGKILL


def test_jobs_are_killed_with_the_server(tmp_path: Path):
    jobs = Jobs(tmp_path)
    job, process = asleep(jobs)
    jobs.server.kill()
    assert job.wait(timeout=20) == 1
    assert job.stderr and "the process that jobs are forked from was killed" in job.stderr.read()
    until(lambda: gone(process))
    assert jobs.run("end", "3")[:2] == (0, "its own program: end 3\n")


def test_a_client_that_waits_when_the_server_is_killed_does_the_job_itself(tmp_path: Path):
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)", encoding="utf-8")
    jobs = Jobs(tmp_path, "slow")
    job = jobs.start("end", "3")
    time.sleep(0.5)  # it has asked by now, and nobody has read that
    jobs.server.kill()
    assert job.communicate(timeout=20)[0] == "its own program: end 3\n" and job.returncode == 0


def test_a_server_that_cannot_fork_sends_clients_away_and_keeps_its_jobs(jobs: Jobs):
    job, process = asleep(jobs)
    limits = psutil.Process(jobs.server.pid).rlimit(psutil.RLIMIT_NOFILE)
    psutil.Process(jobs.server.pid).rlimit(psutil.RLIMIT_NOFILE, (4, limits[1]))  # no descriptor for a client
    other = jobs.start("end", "0")
    time.sleep(0.3)
    assert jobs.server.poll() is None and not gone(process)
    psutil.Process(jobs.server.pid).rlimit(psutil.RLIMIT_NOFILE, limits)
    assert "a warning" in other.communicate("its input", timeout=20)[1] and other.returncode == 0
    job.terminate()
    job.wait(timeout=20)


def test_a_job_without_standard_input_is_killed_with_its_client(jobs: Jobs):
    command = shlex.join([*jobs.command, "sleep"])
    job = subprocess.Popen(
        ["bash", "-c", f"exec {command} <&-"], env=jobs.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert job.stdout
    job.stdout.readline()
    process = int(job.stdout.readline())
    job.kill()
    until(lambda: gone(process))


def test_a_fork_that_cannot_start_its_job_ends_alone(jobs: Jobs):
    limits = psutil.Process(jobs.server.pid).rlimit(psutil.RLIMIT_NOFILE)
    psutil.Process(jobs.server.pid).rlimit(psutil.RLIMIT_NOFILE, (5, limits[1]))  # a client's descriptor, and no pipe's
    assert jobs.run("end", "3")[:2] == (0, "its own program: end 3\n")
    psutil.Process(jobs.server.pid).rlimit(psutil.RLIMIT_NOFILE, limits)
    time.sleep(0.3)
    assert jobs.folder.exists() and jobs.run("end", "3")[0] == 3


def test_a_pool_of_threads_ends_with_its_job(jobs: Jobs):
    job = jobs.start("pool")
    assert "in a thread" in job.communicate("", timeout=20)[0] and job.returncode == 0


def test_a_signal_for_a_job_that_has_ended_is_too_late(jobs: Jobs):
    job, process = asleep(jobs)
    job.send_signal(signal.SIGSTOP)
    os.kill(process, signal.SIGTERM)
    until(lambda: gone(process))
    job.send_signal(signal.SIGINT)
    job.send_signal(signal.SIGCONT)
    assert job.wait(timeout=20) == -signal.SIGTERM


def test_a_job_whose_end_cannot_be_noted_ends_as_it_does(jobs: Jobs):
    job, process = asleep(jobs)
    kept = jobs.folder.rename(jobs.folder.with_name("elsewhere"))
    os.kill(process, signal.SIGTERM)
    assert job.wait(timeout=20) == -signal.SIGTERM
    kept.rename(jobs.folder)


def test_the_server_waits_for_the_jobs_that_run(tmp_path: Path):
    jobs = Jobs(tmp_path)
    job, process = asleep(jobs)
    assert jobs.server.stdin
    jobs.server.stdin.close()
    until(lambda: jobs.run("end", "3")[1] == "its own program: end 3\n")  # it takes no new ones
    assert jobs.server.poll() is None and not gone(process)
    job.terminate()
    assert jobs.server.wait(timeout=20) == 0


def test_a_job_of_another_environment_is_not_forked(jobs: Jobs):
    assert jobs.run("end", "3", COLOUR="red")[:2] == (0, "its own program: end 3\n")
    assert jobs.run("end", "3", OMP_NUM_THREADS="64")[:2] == (0, "its own program: end 3\n")


def test_a_server_that_cannot_import_leaves_jobs_to_themselves(tmp_path: Path):
    jobs = Jobs(tmp_path, "no_such_module")
    assert jobs.server.wait(timeout=20) == 1 and jobs.server.stderr
    assert b"no_such_module" in jobs.server.stderr.read()
    assert jobs.run("end", "3")[:2] == (0, "its own program: end 3\n")


@pytest.fixture
def timer(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Return what Snakemake measures a shell with, once jobs are forked."""
    from snakemake import benchmark

    monkeypatch.setattr(benchmark, "BenchmarkTimer", benchmark.BenchmarkTimer)  # set back at the end
    forks.measure_forks(jobs.folder)
    return lambda shell: benchmark.BenchmarkTimer(shell, benchmark.BenchmarkRecord(), 30)


def test_a_running_job_is_measured_beside_its_client(jobs: Jobs, timer: Callable[[int], Any]):
    job, process = asleep(jobs)
    assert psutil.Process(process).name() == "sleep"
    measure = timer(job.pid)
    assert [each.pid for each in measure.main.children(recursive=True)] == [process]
    measure.work()
    alone = psutil.Process(job.pid).memory_info().rss / 2**20
    assert measure.bench_record.max_rss > alone + 1
    job.terminate()
    job.wait(timeout=20)


@pytest.mark.parametrize("prefix", ["exec ", "true; ", ""])  # the shell becomes the client, or it starts one
def test_a_short_job_is_measured_at_its_end(jobs: Jobs, timer: Callable[[int], Any], prefix: str):
    command = f"read line; {prefix}{shlex.join([*jobs.command, 'fill', '100'])}"
    shell = subprocess.Popen(["bash", "-c", command], env=jobs.environment, stdin=subprocess.PIPE)
    measure = timer(shell.pid)
    shell.communicate(b"go\n", timeout=20)
    assert shell.returncode == 0
    measure.cancel()
    record = measure.bench_record
    assert record.data_collected and 100 < record.max_rss < 200 and 0 < record.cpu_time < 5
    assert record.max_uss is None  # that of the shell alone is known


def test_a_fork_that_was_not_asked_for_anything_is_not_measured(jobs: Jobs, timer: Callable[[int], Any]):
    measure = timer(os.getpid())
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(jobs.folder / server.SOCKET))
        with connection.makefile() as answers:
            fork = int(answers.readline())
        attending = psutil.Process(fork).parent()
        until(lambda: attending.status() == psutil.STATUS_SLEEPING)  # it waits for the fork, and for this client
        attending.suspend()  # so that the fork ends on its own
    until(lambda: gone(fork))
    attending.resume()
    until(lambda: gone(attending.pid))
    measure.cancel()
    assert not measure.bench_record.data_collected


def test_what_an_earlier_shell_used_is_not_counted(jobs: Jobs, timer: Callable[[int], Any]):
    (jobs.folder / str(os.getpid())).write_text("ended 1000000 10", encoding="ascii")
    measure = timer(os.getpid())
    measure.cancel()
    assert not measure.bench_record.data_collected


def workflow(local: bool = True, deployment: tuple[str, ...] = (), touch: bool = False) -> SimpleNamespace:
    settings = SimpleNamespace(deployment_method=set(deployment))
    return SimpleNamespace(local_exec=local, touch=touch, deployment_settings=settings)


def test_jobs_are_forked_on_this_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forks, "GPUS", ("no such device",))
    assert forks.can_fork(workflow(), "cpu") and forks.can_fork(workflow(), "auto")
    assert not forks.can_fork(workflow(), "cuda")
    assert not forks.can_fork(workflow(local=False), "cpu") and not forks.can_fork(workflow(touch=True), "cpu")
    assert not forks.can_fork(workflow(deployment=("conda",)), "cpu")
    monkeypatch.setattr(forks, "GPUS", ("null",))
    assert forks.can_fork(workflow(), "cpu") and not forks.can_fork(workflow(), "auto")
    monkeypatch.setenv(forks.VARIABLE, "no")
    assert not forks.can_fork(workflow(), "cpu")


def test_another_command_of_this_name_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    own = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{own}{os.pathsep}{os.environ['PATH']}")
    assert forks.own_command() == own / "tagdistill"
    (tmp_path / "tagdistill").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "tagdistill").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert forks.own_command() is None


@pytest.mark.parametrize("place", ["short", "l" * 100, "missing/folder"])
def test_a_folder_for_temporary_files_that_does_not_do_is_left_alone(place: str, monkeypatch: pytest.MonkeyPatch):
    base = Path(tempfile.mkdtemp(dir="/tmp"))
    folder = base / place
    if place != "missing/folder":
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    found = forks.client_folder(Path("/bin/echo"))
    assert (found is not None) == (place == "short")
    if found:
        said = subprocess.run([found / "tagdistill", "it's", "$HOME"], capture_output=True, text=True, check=True)
        assert said.stdout == "it's $HOME\n"  # no server: the program itself
    assert [*folder.glob("*")] == [found] * bool(found)
    shutil.rmtree(base)


def test_a_folder_whose_path_cannot_stand_in_path_is_not_used(monkeypatch):
    base = Path(tempfile.mkdtemp(dir="/tmp"))  # short enough for a socket
    for name, used in (("tmp", True), ("tm:p", False)):
        (base / name).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(base / name))
        assert (forks.client_folder(Path(sys.executable)) is not None) == used == bool(list((base / name).iterdir()))
    shutil.rmtree(base)


def test_open_and_closed_descriptors_are_told_apart(tmp_path):
    with (tmp_path / "file").open("w") as file:
        number = file.fileno()
        assert forks.is_open(number)
    assert not forks.is_open(number)


FORKED = """
import os, sys
from types import SimpleNamespace
import psutil, snakemake.benchmark
from tagdistill.workflow.forking import forks

forks.IMPORTS, forks.GPUS = (), ()
settings = SimpleNamespace(deployment_method=set())
workflow = SimpleNamespace(local_exec=True, touch=False, deployment_settings=settings)
if sys.argv[1] == "closed":
    os.close(2)
run = forks.Forks()
assert run.start(workflow, "cpu", range(forks.FEW))
print(os.readlink(f"/proc/{run.server.pid}/fd/2"))
run.end()
"""


@pytest.mark.parametrize("stream", ["open", "closed"])
def test_the_server_tells_its_errors_where_its_run_does_and_holds_nothing_else_in_their_place(stream, tmp_path):
    """Where they are closed, a file or a socket of the server would take their place."""
    own = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{own}{os.pathsep}{os.environ['PATH']}", "TMPDIR": "/tmp"}
    with (tmp_path / "errors").open("w") as errors:
        command = [sys.executable, "-c", FORKED, stream]
        found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, check=True)
    assert found.stdout.strip() == (str(tmp_path / "errors") if stream == "open" else os.devnull)
