"""Measure how long Snakemake plans experiments of many languages, and write docs/planning.md.

    python bench/planning.py

Each experiment is made up: three small local files a language, of which every tenth is zero-shot, and one objective.
Beside the whole, samples of the stack say how much of the time passes in functions of this project.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from markdown import judged, table
from tagger import peak_memory

ROOT = Path(__file__).parents[1]
OURS = tuple(str(ROOT / name) for name in ("src", "workflow", "Snakefile"))  # not `.venv`
SIZES = (100, 300, 1000)
BARS = {1000: (20.0, 2000.0)}  # languages: CPU seconds and MB at most
BETWEEN = 0.005  # CPU seconds between two samples
TEXT = "{name}\tO\nmet\tO\nAda\tB-PER\n\nParis\tB-LOC\nslept\tO\n"
PAGE = """\
# Planning

<!-- Written by `make planning`; do not edit. -->

Before a run Snakemake plans all of its jobs. This is what `snakemake --dry-run` takes for experiments that were made
up: three small local files a language, of which every tenth is zero-shot, frozen word vectors, and one objective.
Nothing has been made yet, so every job is planned.

- Machine: {processor}, {cores} cores; load average {load} as the measurement ended. {system}, Python {python},
  Snakemake {snakemake}.
- CPU seconds are user and system, of the whole process; MB are the most that it took.

{table}
From {smallest} to {largest} languages a job more takes {each:.2f} ms: {ours:.2f} ms in functions of this project (keys,
inputs, parameters), {theirs:.2f} ms in Snakemake. What is left at no job at all, {start:.1f} s, is the start: imports,
the rules, and the code that keys are made of.
"""


def write_project(folder: Path, number: int) -> Path:
    """Write an experiment of some languages and its data; return its config."""
    groups: dict[str, dict[str, Any]] = {"languages": {}, "zero_shot": {}}
    for place in range(number):
        name, zero_shot = f"l{place:04d}", place % 10 == 9
        (folder / "data" / name).mkdir(parents=True)
        splits = {}
        for split in ("test",) if zero_shot else ("train", "dev", "test"):
            splits[split] = {"path": f"data/{name}/{split}.conll"}
            (folder / splits[split]["path"]).write_text(TEXT.format(name=f"{name}{split}"), encoding="utf-8")
        groups["zero_shot" if zero_shot else "languages"][name] = {"source": "path", "format": "conll", **splits}
    values = {
        "name": "planning",
        "task": "ner",
        "labels": ["PER", "LOC"],
        **groups,
        "root": str(folder),
        "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
        "teacher": {"updates": 300},
        "student": {"updates": 300},
        "distill": {"objectives": ["posterior"]},
        "device": "cpu",
    }
    config = folder / "planning.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    return config


def measure(number: int) -> dict[str, float]:
    """Return jobs, CPU seconds, the share of them in this project's functions, and MB of a dry run."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config, log, samples = write_project(folder, number), folder / "log", folder / "samples.json"
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--plan", str(config), "--json", str(samples)]
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
        text = log.read_text(encoding="utf-8")
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the plan of {number} languages failed:\n{text[-4000:]}")
        found = json.loads(samples.read_text(encoding="utf-8"))
        jobs = re.findall(r"^total +(\d+)$", text, re.MULTILINE)
    seconds = usage.ru_utime + usage.ru_stime
    share = found["ours"] / max(found["samples"], 1)
    return {"jobs": int(jobs[0]), "seconds": seconds, "ours": seconds * share, "mb": found["mb"]}


def plan(config: str, samples: Path) -> None:
    """Run Snakemake's dry run in this process, and write how many samples of its stack hold a function of ours."""
    counts = {"samples": 0, "ours": 0}

    def sample(_signal: int, frame: FrameType | None) -> None:
        counts["samples"] += 1
        while frame is not None:
            if frame.f_code.co_filename.startswith(OURS):
                counts["ours"] += 1
                return
            frame = frame.f_back

    def write() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        samples.write_text(json.dumps(counts | {"mb": peak_memory()}), encoding="utf-8")

    atexit.register(write)
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, BETWEEN, BETWEEN)
    profile = str(ROOT / "workflow/profiles/default")
    sys.argv = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", profile]
    sys.argv += ["--configfile", config, "--dry-run"]
    runpy.run_module("snakemake", run_name="__main__")


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    rows = {int(number): row for number, row in found["sizes"].items()}
    lines = []
    for number, row in rows.items():
        seconds, megabytes = BARS.get(number, (None, None))
        figures = [judged(row["seconds"], seconds, most=True), f"{row['ours']:.1f}"]
        figures.append(judged(row["mb"], megabytes, most=True, form=".0f"))
        lines.append([f"{number:,}", f"{row['jobs']:,}", *figures])
    head = ["languages", "jobs", "CPU s (bar)", "of these in our functions", "MB (bar)"]
    first, last = rows[min(rows)], rows[max(rows)]
    more = {name: last[name] - first[name] for name in first}
    each, ours = (1000 * more[name] / more["jobs"] for name in ("seconds", "ours"))
    start = first["seconds"] - first["jobs"] * each / 1000
    return PAGE.format(
        **found["machine"],
        table=table(head, lines),
        smallest=f"{min(rows):,}",
        largest=f"{max(rows):,}",
        each=each,
        ours=ours,
        theirs=each - ours,
        start=start,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", type=Path, default=Path("build/bench/planning.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/planning.md"))
    parser.add_argument("--page-only", action="store_true", help="write the page from the measurements that are there")
    parser.add_argument("--plan", help=argparse.SUPPRESS)  # one config, in this process
    options = parser.parse_args()
    if options.plan:
        plan(options.plan, options.json)
        return
    if not options.page_only:
        from importlib.metadata import version

        from machine import machine

        sizes = {}
        for number in options.sizes:
            sizes[number] = measure(number)
            print(number, json.dumps(sizes[number]), flush=True)
        found = {"sizes": sizes, "machine": {**machine(), "snakemake": version("snakemake")}}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(page(json.loads(options.json.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
