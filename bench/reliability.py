"""Write the measured parts of docs/reliability.md: `python bench/reliability.py PAGE.md --kills K.json ...`.

Each part stands between a pair of comments, `<!-- NAME: ... -->` and `<!-- NAME ends -->`; parts that were not measured
stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from machine import machine
from markdown import table

KINDS = {
    "full": "the disk is full from there on",
    "readonly": "the file system is read-only from there on",
    "error": "this operation fails (an input/output error)",
    "kill": "the process is killed",
}
WAYS = {
    "power": "SIGKILL to all processes at once, as in a power failure",
    "job": "SIGKILL to one job, as when memory is short",
    "terminate": "SIGTERM to Snakemake",
    "hung": "SIGTERM to Snakemake at a moment when it waits for itself; SIGKILL after a minute",
    "scancel": "SIGTERM to all processes, SIGKILL after two seconds, as a cluster's scheduler does",
}


def kills_part(run: dict[str, Any]) -> str:
    """Return what the killed runs showed."""
    rounds = run["rounds"]
    ways = sum((Counter(each["ways"]) for each in rounds), Counter[str]())
    bad = [each for each in rounds if each["problem"]]
    lines = [[WAYS[way], str(ways[way])] for way in WAYS]
    head = (
        f"{sum(ways.values())} kills at random moments of {len(rounds)} runs of a small experiment (undisturbed "
        f"{run['seconds']:.0f} s), up to eight kills a run; then one command. In {len(rounds) - len(bad)} of "
        f"{len(rounds)} runs every result had the bytes of the undisturbed run, and nothing else was left.\n"
    )
    return "\n".join([head, table(["how", "kills"], lines), *(f"- Round {x['round']}: {x['problem']}" for x in bad)])


def faults_part(run: dict[str, Any]) -> str:
    """Return what failing file operations showed."""
    found = Counter(each["kind"] for each in run["findings"])
    lines = [[KINDS[kind], str(run["runs"].get(kind, 0)), str(found[kind])] for kind in KINDS]
    stages = ", ".join(f"{rule} {number}" for rule, number in run["operations"].items())
    head = (
        "Every stage changes files in a number of operations (open for writing, write, flush, rename, remove): "
        f"{stages}. Operations were drawn at random, and each failed in one run of its stage.\n"
    )
    return "\n".join([head, table(["at the operation", "runs", "broken promises"], lines)])


def fuzz_part(run: dict[str, Any]) -> str:
    """Return what damaged inputs showed."""
    lines = [[name, f"{number:,}"] for name, number in sorted(run["inputs"].items(), key=lambda item: -item[1])]
    head = (
        f"{sum(run['inputs'].values()):,} damaged inputs in {run['seconds'] / 60:.0f} minutes; "
        f"{len(run['found']) or 'none'} of them ended in anything but a result or an error of ours.\n"
    )
    return "\n".join([head, table(["what reads them", "inputs"], lines)])


def mutation_part(run: dict[str, Any]) -> str:
    """Return what became of the mutants of the code, by package."""
    every, counts = Counter[str](), Counter[tuple[str, str]]()
    for file, number in run["mutants"].items():
        every[_package(file)] += number
    for each in run["tried"]:
        verdict = "equivalent" if each["verdict"] == "survived" and each["reason"] else each["verdict"]
        for name in (_package(each["file"]), "all"):
            counts[name, verdict] += 1
    rows = {**{name: every[name] for name in sorted(every)}, "all": every.total()}
    verdicts = ["killed", "timeout", "equivalent", "survived"]
    numbers = {
        name: [rows[name], sum(counts[name, x] for x in verdicts), *(counts[name, x] for x in verdicts)]
        for name in rows
    }
    total, tried, killed, late, equivalent, _ = numbers["all"]
    drawn = "" if tried == total else f", drawn at random with seed {run['seed']}"
    head = (
        f"{tried:,} of {total:,} mutants were tried{drawn}. Mutation score (killed or timed out, of those that are not "
        f"equivalent): {100 * (killed + late) / max(1, tried - equivalent):.1f} %.\n"
    )
    titles = ["package", "mutants", "tried", "killed", "timed out", "equivalent", "survived"]
    return "\n".join([head, table(titles, [[name, *(f"{n:,}" for n in row)] for name, row in numbers.items()])])


def _package(file: str) -> str:
    return Path(file).parts[2]


PARTS = {"kills": kills_part, "faults": faults_part, "fuzz": fuzz_part, "mutation": mutation_part}


def with_part(page: str, name: str, text: str) -> str:
    """Return the page with a part of it replaced."""
    pattern = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- {name} ends -->)", re.DOTALL)
    assert pattern.search(page), f"the page has no part {name}"
    return pattern.sub(lambda match: f"{match[1]}\n{text.rstrip()}\n\n{match[2]}", page)


def main() -> None:
    """Replace the parts that were measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    for name in PARTS:
        parser.add_argument(f"--{name}", type=Path)
    options = vars(parser.parse_args())
    page = options["page"].read_text(encoding="utf-8")
    here = machine()
    for name, part in PARTS.items():
        if options[name]:
            where = (
                f"Measured on: {here['processor']}, {here['cores']} cores, {here['system']}, Python {here['python']}."
            )
            page = with_part(page, name, f"{part(json.loads(options[name].read_text(encoding='utf-8')))}\n{where}")
    options["page"].write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
