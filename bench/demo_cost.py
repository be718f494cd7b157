"""Measure what a whole small run costs, and where it goes, and write docs/demo-cost.md.

    python bench/demo_cost.py

The workflow runs from nothing on the demo's corpus. `--before FOLDER` (the folder src of another source tree) does the
same with its workflow and package, in turns; what that one imports must be installed too.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from machine import machine
from markdown import judged, table
from starts import run_workflow, seconds_of

ROOT = Path(__file__).parents[1]
BAR = 0.55  # of the seconds that the same run took before
FROZEN = {"mode": "frozen", "head": "bilstm", "learning_rate": 4e-3}
LOSSES = ["softmax", "token", "emission", "top_k", "top_wk", "posterior", "posterior+top_wk", "structural", "scores"]
# What the demo was when its cost was first measured: ten objectives of two seeds, frozen teachers and students.
EXPERIMENT = {
    "name": "demo-cost",
    "task": "ner",
    "labels": ["PER", "LOC", "ORG"],
    "languages": {
        language: {"source": "demo", "splits": ["train", "dev", "test"]}
        for language in ("en", "es", "ru", "el", "ar", "hi")
    },
    "zero_shot": {language: {"source": "demo"} for language in ("de", "fr", "uk", "he")},
    "encoder": {"provider": "wheel", "layers": 8, "tap": 6, "pooling": "mean"},
    "teacher": {**FROZEN, "hidden": 128, "dropout": 0.3, "updates": 300, "batch_words": 300},
    "student": {**FROZEN, "hidden": 64, "updates": 400, "batch_words": 500},
    "distill": {"objectives": ["baseline", *LOSSES], "k": 10},
    "seeds": [0, 1],
    "device": "cpu",
}
SERVER = "fork-server"  # the process that jobs are forks of
# Each process of Python says as it ends what it took, and whether it imported torch itself: a fork may have it already.
SITE = """\
import atexit, os, pathlib, sys
inherited = []
os.register_at_fork(after_in_child=lambda: inherited.append("torch" in sys.modules))
def note():
    name, stage = pathlib.Path(sys.argv[0]).stem, (sys.argv[1:] or [""])[0]
    forks = name == "server"
    if forks or name == "tagdistill":
        used = sum(os.times()[: 2 if forks else 4])
        torch = "torch" in sys.modules and not any(inherited)
        with open({log!r}, "a") as log:
            log.write(f"{{{server!r} if forks else stage}} {{used}} {{int(torch)}}\\n")
atexit.register(note)
"""
PAGE = """\
# What a small run costs

<!-- Written by `make demo-cost`; do not edit. -->

The workflow on the demo's corpus from nothing to the report, with `--cores {cores}`: six languages, ten objectives, two
seeds, frozen teachers and students (`EXPERIMENT` in [`bench/demo_cost.py`](../bench/demo_cost.py)). CPU seconds are
user and system, of all processes. {rounds} round{s}{turns}.

- Machine: {processor}; load average {load} as the run ended. {system}, Python {python}, torch {torch}.
- A process that imports torch and nothing else takes {torch_alone:.2f} CPU seconds; {torching} do.

{totals}
## Where it goes

In the round that took fewest CPU seconds.

{stages}
"Importing torch" is the number of processes times what that takes alone: jobs are forks of `fork-server`, which has
imported it, where there is one ([running](guide/running.md)). "Snakemake itself" is what is left of the run, with what
starts and ends jobs.

## What would make it less

Most of it is training. Snakemake takes {each:.2f} CPU seconds for each of {jobs} jobs; larger texts and more updates
make that a small share. For many short trainings:

- fewer seeds, objectives and languages in one config are fewer jobs; the next config shares all results that it does
  not change ([running](guide/running.md));
- `--cores N` runs N jobs side by side, each on one thread.
"""


def run(sources: Path, place: Path, cores: int) -> dict[str, Any]:
    """Run the workflow of a source tree in an empty folder, and return its seconds and those of each stage.

    Of a stage: its jobs, their CPU seconds, and how many of them imported torch.
    """
    log = place / "jobs"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run_workflow(place, sources, EXPERIMENT, cores=cores, site=SITE.format(log=str(log), server=SERVER))
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    stages: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0])
    for line in log.read_text(encoding="utf-8").splitlines():
        stage, seconds, torch = line.split()
        jobs, total, importing = stages[stage]
        stages[stage] = [jobs + 1, total + float(seconds), importing + int(torch)]
    return {"cpu": cpu, "wall": wall, "stages": stages}


def measure(rounds: int, sources: dict[str, Path], cores: int) -> dict[str, Any]:
    """Run each source tree so many times, in turns."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sources}
    torch_alone = []
    for _ in range(rounds):
        for name, source in sources.items():
            with tempfile.TemporaryDirectory() as place:
                runs[name].append(run(source, Path(place), cores))
            torch_alone.append(seconds_of(["-c", "import torch"], Path.cwd(), ROOT / "src"))
    return {"rounds": rounds, "runs": runs, "torch_alone": statistics.median(torch_alone), **machine(), "cores": cores}


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    least = min(found["runs"]["now"], key=lambda each: each["cpu"])
    jobs, _, importing = _sums({name: each for name, each in least["stages"].items() if name != SERVER})
    return PAGE.format(
        **found,
        s="" if found["rounds"] == 1 else "s, medians",
        turns=", in turns with an earlier state of the project (`--before`)" if "before" in found["runs"] else "",
        torching=f"{importing} of {jobs} jobs" + (f" and `{SERVER}`" if SERVER in least["stages"] else ""),
        jobs=jobs,
        each=_own(least) / jobs,
        totals=_totals(found["runs"]),
        stages=_stages(least, found["torch_alone"], jobs),
    )


def _sums(stages: dict[str, list[float]]) -> list[float]:
    """Return the processes of all stages, their CPU seconds, and how many imported torch."""
    return [sum(column) for column in zip(*stages.values(), strict=True)]


def _totals(runs: dict[str, list[dict[str, Any]]]) -> str:
    head = ["", "now", *(["before", "now / before"] if "before" in runs else [])]
    rows = []
    for key, name in (("cpu", "CPU seconds"), ("wall", "wall clock, s")):
        median = {tree: statistics.median(each[key] for each in of) for tree, of in runs.items()}
        row = [name, *(f"{value:.0f}" for value in median.values())]
        if "before" in median:
            row.append(judged(median["now"] / median["before"], BAR, most=True, form=".2f"))
        rows.append(row)
    return table(head, rows)


def _own(run: dict[str, Any]) -> float:
    """Return the CPU seconds of Snakemake, without its jobs."""
    return float(run["cpu"] - _sums(run["stages"])[1])


def _stages(run: dict[str, Any], alone: float, jobs: float) -> str:
    _, _, importing = _sums(run["stages"])
    stages = sorted(run["stages"].items(), key=lambda item: -item[1][1])
    rows = [
        [f"`{name}`", "" if name == SERVER else str(number), f"{seconds:.0f}", f"{with_torch * alone:.0f}"]
        for name, (number, seconds, with_torch) in stages
    ]
    rows.append(["Snakemake itself", "", f"{_own(run):.0f}", ""])
    rows.append(["all", str(jobs), f"{run['cpu']:.0f}", f"{importing * alone:.0f}"])
    return table(["stage", "jobs", "CPU s", "of these importing torch"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--before", type=Path, help="the folder src of another source tree to compare with")
    parser.add_argument("--json", type=Path, default=Path("build/bench/demo-cost.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/demo-cost.md"))
    parser.add_argument("--page-only", action="store_true", help="write the page from the measurements that are there")
    options = parser.parse_args()
    if not options.page_only:
        sources = {"now": ROOT / "src"} | ({"before": options.before.resolve()} if options.before else {})
        found = measure(options.rounds, sources, options.cores)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(page(json.loads(options.json.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
