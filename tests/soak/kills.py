"""Whole runs that are killed at random moments, and the one command that goes on: its results are an undisturbed run's.

A round starts with nothing, is killed some times, each time in one of four ways, and then ends with `snakemake` alone
(after `snakemake --unlock` where Snakemake itself was killed, as its message says). Writes what was seen as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
from faults import hashes, is_temporary
from projects import ROOT, Project, experiment, new_project, write_data

from tagdistill.artifacts.files import sha256_file, sha256_json, write_text

WAYS = ("power", "job", "terminate", "scancel")
PER_ROUND = 8
SECONDS = 600
PATIENCE = 60  # seconds until a user kills what does not end after SIGTERM


def config(project: Project) -> Path:
    """Write the experiment of every round: it trains long enough to be met in a training."""
    values = experiment()
    values["distill"]["objectives"] = ["baseline", "posterior"]
    values["teacher"] |= {"updates": 40, "evaluations": 2}
    values["student"] |= {"updates": 60, "evaluations": 3}
    return project.write(values)


def start(project: Project, settings: Path) -> subprocess.Popen[str]:
    """Start a run in a session of its own; its output goes to the file `said`."""
    with (project.path / "said").open("w", encoding="utf-8") as said:
        return subprocess.Popen(
            project.command(settings, "--cores", "2"),
            cwd=project.path,
            env=project.environment() | {"TAGDISTILL_CHECKPOINT_SECONDS": "0.1"},
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes of a run that still are there."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return []


def works(process: psutil.Process) -> bool:
    """Return whether a process still does something: one that ended stays until its parent takes note."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(number)


def end(process: subprocess.Popen[str], way: str, chance: random.Random) -> str:
    """End a run: as a power failure does, as the kernel does that is out of memory, as a user and as a cluster does.

    Returns how it ended: `hung` where Snakemake did not react to SIGTERM. (The handler of Snakemake 9 takes a lock that
    the very thread it interrupts may hold, namely while it records that a job has ended.)
    """
    processes = family(process)
    jobs = [each for each in processes[1:] if each.is_running() and "tagdistill" in " ".join(command_line(each))]
    if way == "job" and jobs:
        send([chance.choice(jobs)], signal.SIGKILL)
    elif way == "terminate":
        send(processes[:1], signal.SIGTERM)
    elif way == "scancel":
        send(processes, signal.SIGTERM)
        psutil.wait_procs(processes, timeout=2)
        send(family(process) + processes, signal.SIGKILL)
    else:
        send(processes, signal.SIGKILL)
    try:
        process.wait(PATIENCE if way == "terminate" else SECONDS)
    except subprocess.TimeoutExpired:
        if way != "terminate" or any(map(works, family(process)[1:])):
            raise
        way = "hung"
        send(processes, signal.SIGKILL)
        process.wait(SECONDS)
    psutil.wait_procs(processes, timeout=SECONDS)
    return way


def command_line(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def go_on(project: Project, settings: Path) -> str:
    """Give the one command, after `--unlock` where it is asked for; return what it said, or raise with it."""
    done = project.snakemake(settings, "--cores", "2")
    if done.returncode and "--unlock" in done.stdout:
        unlocked = project.snakemake(settings, "--unlock")
        assert unlocked.returncode == 0, unlocked.stdout
        done = project.snakemake(settings, "--cores", "2")
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def disturbed(project: Project, settings: Path, kills: int, duration: float, chance: random.Random) -> Counter[str]:
    """Start the run again and again and end it each time; return how often in which way."""
    ways: Counter[str] = Counter()
    for _ in range(kills):
        locked = any((project.path / ".snakemake" / "locks").glob("*"))
        if locked and project.snakemake(settings, "--unlock").returncode:
            raise AssertionError("--unlock failed")
        process = start(project, settings)
        # Later starts have less to do: a moment within the first quarter hits one of them at work.
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(1, duration / 4))
        if process.poll() is not None:
            if process.returncode:
                raise AssertionError((project.path / "said").read_text(encoding="utf-8")[-4000:])
            break  # the run was over before
        ways[end(process, chance.choice(WAYS), chance)] += 1
    return ways


def results(project: Project) -> dict[str, str]:
    """Return the checksums of a finished run. The report tells times and dates; its tables are compared."""
    return {name: sha for name, sha in hashes(project.path).items() if not name.endswith((".html", "report.html"))}


def one_round(folder: Path, kills: int, number: int, reference: dict[str, str], duration: float) -> dict[str, object]:
    """Return how one round went; `problem` is empty if all was as promised."""
    chance = random.Random(number)
    project = new_project(folder / f"round-{number}")
    write_data(project.path / "data" / "en")
    settings = config(project)
    begin = time.monotonic()
    ways, problem = Counter(), ""
    try:
        ways = disturbed(project, settings, kills, duration, chance)
        go_on(project, settings)
        found = results(project)
        changed = sorted(name for name in reference if found.get(name) != reference[name])
        left = sorted(name for name in found.keys() - reference.keys() if is_temporary(name))
        more = sorted(name for name in found.keys() - reference.keys() if not is_temporary(name))
        problem = "; ".join(
            f"{what}: {', '.join(names[:5])}"
            for what, names in (("other bytes", changed), ("left behind", left), ("too many", more))
            if names
        )
    except (AssertionError, subprocess.TimeoutExpired) as error:
        problem = str(error)[-2000:]
    return {
        "round": number,
        "kills": sum(ways.values()),
        "ways": dict(ways),
        "problem": problem,
        "seconds": time.monotonic() - begin,
    }


def main() -> None:
    """Kill until it is enough and write what was seen; rounds of the same code are not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="file to write")
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    code = sha256_json([sha256_file(file) for file in sorted((ROOT / "src").rglob("*.py"))])
    before = json.loads(options.json.read_text()) if options.json.exists() else {}
    rounds: list[dict[str, object]] = before["rounds"] if before.get("code") == code else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calm = new_project(folder / "calm")
        write_data(calm.path / "data" / "en")
        begin = time.monotonic()
        go_on(calm, config(calm))
        duration = time.monotonic() - begin
        reference = results(calm)
        while (done := sum(int(str(each["kills"])) for each in rounds)) < options.kills:
            number = min(set(range(len(rounds) + 1)) - {each["round"] for each in rounds})
            rounds.append(one_round(folder, min(PER_ROUND, options.kills - done), number, reference, duration))
            print(json.dumps(rounds[-1]), flush=True)  # noqa: T201
            write_text(options.json, json.dumps({"code": code, "seconds": duration, "rounds": rounds}, indent=2) + "\n")
    bad = [each for each in rounds if each["problem"]]
    print(f"{options.kills} kills in {len(rounds)} rounds, {len(bad)} with a problem")  # noqa: T201


if __name__ == "__main__":
    main()
