"""A real Slurm on this machine, in a folder of its own: munged, slurmctld and one slurmd, started by a test.

The daemons run in the foreground as children of this process and end with it. Only one file lies outside the folder:
the jobs look for the settings at Slurm's default place, because the executor plug-in clears the variable that could
name another.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SETTINGS = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
PATIENCE = 30.0  # seconds

CONF = """\
ClusterName=tests
SlurmctldHost=localhost
AuthType=auth/munge
AuthInfo=socket={base}/munge/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/slurmd.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=0
MinJobAge=86400
EnforcePartLimits=ALL
InactiveLimit=0
KillWait=5
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=1440 State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A running cluster of one node."""

    base: Path

    def ask(self, *command: str) -> str:
        """Run a Slurm command and return what it prints."""
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, f"{command}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def jobs(self, state: str = "R") -> dict[str, str]:
        """Return id and comment, which names rule and wildcards, of the jobs in a state; `all` for any."""
        lines = self.ask("squeue", "--noheader", f"--states={state}", "--format=%i|%k").splitlines()
        return dict(line.split("|", 1) for line in lines)

    def lose_node(self, job: str) -> None:
        """Let the node fail under a job; Slurm puts the job back into the queue, and the node comes back at once."""
        self.ask("scontrol", "update", "NodeName=localhost", "State=DOWN", "Reason=lost")
        wait_for(lambda: self.state(job) == "PENDING", self)

        def node_is_back() -> bool:
            if "down" in _quietly("sinfo", "--noheader", "--format=%t"):
                _quietly("scontrol", "update", "NodeName=localhost", "State=RESUME")
            return "idle" in _quietly("sinfo", "--noheader", "--format=%t")

        wait_for(node_is_back, self)

    def start_again(self, job: str) -> None:
        """Let a job that was put back into the queue start, which Slurm does after two minutes.

        Not at once: while the node still ends what ran there, it refuses or kills a job that is started again, and
        Slurm calls it FAILED. On a busy machine that takes seconds.
        """
        wait_for(lambda: not _quietly("pgrep", "--full", rf"slurmstepd: \[{job}\."), self)
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now+10")

    def state(self, job: str) -> str:
        return self.ask("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}").strip()

    def requests(self) -> list[dict[str, str]]:
        """Return what every job asked for, its attempts one after the other: Comment, ReqTRES, TimeLimit, ..."""
        shown = self.ask("scontrol", "show", "jobs", "--oneliner").splitlines()
        return [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in shown]

    def logs(self) -> str:
        return "\n".join(f"{f.name}: {f.read_text()[-2000:]}" for f in sorted((self.base / "log").glob("*")))


def missing() -> str | None:
    """Return why no Slurm can be started here, or None."""
    if os.uname().sysname != "Linux" or os.geteuid() != 0:
        return "Slurm's daemons are started by root on Linux"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    if absent:
        return f"Slurm is not installed here: {', '.join(absent)} not found"
    if SETTINGS.exists() and not _is_ours():
        return f"{SETTINGS} is there already: this machine has a Slurm of its own"
    return None


def _is_ours() -> bool:
    return SETTINGS.is_symlink() and "ClusterName=tests\n" in SETTINGS.read_text()


@contextmanager
def running(base: Path, *, cpus: int = 2, memory: int = 64_000) -> Iterator[Slurm]:
    """Start a cluster whose node claims `cpus` cores and `memory` MB; stop it and its jobs at the end."""
    for name in ("state", "spool", "log", "run", "munge"):
        (base / name).mkdir(parents=True)
    (base / "munge").chmod(0o700)
    key = base / "munge/munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    conf = base / "slurm.conf"
    conf.write_text(CONF.format(base=base, ports=free_ports(2), cpus=cpus, memory=memory))
    munge = {
        name: f"--{name}={base}/munge/{file}"
        for name, file in (
            ("key-file", "munge.key"),
            ("socket", "munge.socket"),
            ("pid-file", "munged.pid"),
            ("log-file", "munged.log"),
            ("seed-file", "munged.seed"),
        )
    }
    slurm = Slurm(base)
    with ExitStack() as stack:
        stack.callback(SETTINGS.unlink, missing_ok=True)
        SETTINGS.unlink(missing_ok=True)
        SETTINGS.symlink_to(conf)
        stack.enter_context(_daemon(base, "munged", "--foreground", "--force", *munge.values()))
        wait_for(lambda: (base / "munge/munge.socket").exists(), slurm)
        stack.enter_context(_daemon(base, "slurmctld", "-D"))
        stack.enter_context(_daemon(base, "slurmd", "-D", "-N", "localhost"))
        wait_for(lambda: "idle" in _quietly("sinfo", "--noheader", "--format=%t"), slurm)
        stack.callback(_quietly, "scancel", "--full", "--user=root")
        yield slurm


@contextmanager
def _daemon(base: Path, *command: str) -> Iterator[None]:
    with (base / "log" / f"{command[0]}.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=_end_with_parent)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _end_with_parent() -> None:
    """Ask Linux to end this process when the one that started it dies, however it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def end_strays(folder: Path) -> None:
    """End what a job leaves when it is stopped: the simplest way to track processes loses those whose parent ended."""
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.NoSuchProcess):
            if any(str(folder) in word for word in process.info["cmdline"] or []) and process.ppid() == 1:
                process.kill()


def _quietly(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout


def wait_for(condition, slurm: Slurm) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"Slurm does not answer as it should:\n{slurm.logs()}"
        time.sleep(0.1)


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
