"""Measure what a job of each stage takes before it has much to do, and write docs/starts.md.

    python bench/starts.py

The workflow runs once on a few sentences; then one command of each stage is run again and again, all in turns.
`--before FOLDER` does the same with the workflow and the package of another source tree beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from machine import machine
from markdown import judged, table

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "config", "envs", "profiles")
EXPERIMENT = {
    "name": "starts",
    "task": "ner",
    "labels": ["PER", "LOC", "ORG"],
    "limit": {"train": 24, "dev": 8, "test": 8},
    "languages": {"en": {"source": "demo"}},
    "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
    "teacher": {"head": "bilstm", "hidden": 8, "updates": 2, "batch_words": 200},
    "student": {"head": "bilstm", "hidden": 8, "updates": 2, "batch_words": 200},
    "distill": {"objectives": ["baseline", "posterior"], "k": 4},
    "device": "cpu",
}
# Stages and the most CPU seconds that one may take from its start to its first useful work.
BARS = {
    "prepare": None,
    "encode": 3.5,
    "train-teacher": 2.6,
    "score": 2.6,
    "targets": 2.3,
    "train-student": 2.6,
    "evaluate-model": 2.3,
    "report": 1.5,
    "report, whole": None,
}
# A report is finished soon after it has begun: of it only the start is measured.
UNTIL_REPORT = """\
import sys
from tagdistill.reporting import report
report.build_report = lambda *_, **__: sys.exit()
from tagdistill.cli.main import main
main()
"""
RECORDER = """\
#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
os.execv(sys.executable, [sys.executable, "-m", "tagdistill", *sys.argv[1:]])
"""
PAGE = """\
# Starts

<!-- Written by `make starts`; do not edit. -->

Most jobs of a small experiment are short, and what they import is a large part of their time. These are the CPU seconds
(user and system) of whole jobs on a few sentences, from the start of the process to its end, so an upper bound of what
passes before the first useful work; the bars are for that. `report` is measured to where it reads the first result, and
the whole of it in the row below. Medians of {rounds} rounds in turns, one thread.

- Machine: {processor}, {cores} cores; load average {load} as the run ended. {system}, Python {python}, torch {torch}.
- A process that imports torch and nothing else takes {torch_alone:.2f} CPU seconds here.
{before}
{table}
A test holds the list of the large packages that each stage imports (`tests/unit/test_starts.py`).
"""


def recorded(project: Path, sources: Path) -> dict[str, list[str]]:
    """Run the workflow in a folder, and return Python's arguments for the first command of each stage."""
    log = project / "commands"
    run_workflow(project, sources, EXPERIMENT, RECORDER.format(python=sys.executable, log=str(log)))
    commands = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    found = {command[0]: ["-m", "tagdistill", *command] for command in reversed(commands)}
    found["report, whole"], found["report"] = found["report"], ["-c", UNTIL_REPORT, *found["report"][2:]]
    return {stage: found[stage] for stage in BARS}


def run_workflow(
    project: Path, sources: Path, experiment: dict[str, Any], recorder: str = "", cores: int = 1, site: str = ""
) -> None:
    """Run the workflow of a source tree in an empty folder.

    recorder: a script in the place of the command `tagdistill`; site: what each process of Python does as it starts.
    Ends with what Snakemake printed, and the logs of jobs, where it fails.
    """
    for part in PARTS:
        there = sources.parent / part
        (shutil.copytree if there.is_dir() else shutil.copy)(there, project / part)
    own = project / "bin"
    own.mkdir()
    (own / "sitecustomize.py").write_text(site, encoding="utf-8")
    if recorder:
        (own / "tagdistill").write_text(recorder, encoding="utf-8")
        (own / "tagdistill").chmod(0o755)
    config = project / "bench.yaml"
    config.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    path = os.pathsep.join([*([str(own)] if recorder else []), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = environment_of(sources) | {"PATH": path, "PYTHONPATH": f"{own}{os.pathsep}{sources}"}
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", config.name]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nthe workflow of {sources} failed; does it need other packages?")


def environment_of(sources: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1"}


def seconds_of(arguments: list[str], folder: Path, sources: Path) -> float:
    """Return the CPU seconds of a process of Python with some arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment_of(sources), check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int, sources: dict[str, Path]) -> dict[str, Any]:
    """Return the median CPU seconds of each stage with each source tree, and of an import of torch."""
    times: dict[str, dict[str, list[float]]] = {name: {stage: [] for stage in BARS} for name in sources}
    torch_alone = []
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in sources}
        commands = {}
        for name, folder in folders.items():
            folder.mkdir()
            commands[name] = recorded(folder, sources[name])
        for _ in range(rounds):
            torch_alone.append(seconds_of(["-c", "import torch"], Path(place), ROOT / "src"))
            for stage in BARS:
                for name, source in sources.items():
                    if stage == "encode":
                        remove_stores(folders[name], commands[name][stage])
                    times[name][stage].append(seconds_of(commands[name][stage], folders[name], source))
    medians = {name: {stage: statistics.median(each) for stage, each in rows.items()} for name, rows in times.items()}
    return {"rounds": rounds, "torch_alone": statistics.median(torch_alone), "seconds": medians, **machine()}


def remove_stores(folder: Path, command: list[str]) -> None:
    """Remove the stores that a command makes: it would keep what is there."""
    corpora = " ".join(command)
    for store in folder.glob("results/**/*.safetensors"):
        if "features" in store.parts and f"{store.stem}.parquet" in corpora:
            store.unlink()


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    now, before = found["seconds"]["now"], found["seconds"].get("before")
    head = ["job", "CPU s (bar)", *(["before", "now / before"] if before else [])]
    rows = []
    for stage, bar in BARS.items():
        row = [f"`{stage}`", judged(now[stage], bar, most=True, form=".2f")]
        rows.append([*row, f"{before[stage]:.2f}", f"{now[stage] / before[stage]:.2f}"] if before else row)
    said = "- Before: the package with `transformers.Trainer`, in turns with today's (`--before`).\n" if before else ""
    return PAGE.format(**{**found, "before": said, "table": table(head, rows)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="the folder src of another source tree to compare with")
    parser.add_argument("--json", type=Path, default=Path("build/bench/starts.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/starts.md"))
    parser.add_argument("--page-only", action="store_true", help="write the page from the measurements that are there")
    options = parser.parse_args()
    if not options.page_only:
        sources = {"now": ROOT / "src"} | ({"before": options.before.resolve()} if options.before else {})
        found = measure(options.rounds, sources)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(page(json.loads(options.json.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
