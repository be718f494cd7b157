"""Dry runs that start warm tell what the command tells."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from projects import Project, experiment, read_jobs

CASES = {
    "nothing": {},
    "another k": {"distill": {"k": 5}},
    "a mistake": {"distill": {"k": "many"}},
}


def in_order(text: str) -> str:
    """Return a line with its words in order: Snakemake leaves the order of files, as that of jobs, to chance."""
    return " ".join(sorted(text.replace(",", " ").replace(";", " ").split()))


@pytest.mark.parametrize("case", CASES)
def test_a_warm_dry_run_says_and_plans_what_the_command_does(case: str, finished: Project):
    values = experiment()
    values["distill"] |= CASES[case].get("distill", {})
    file = finished.write(values)
    runs = {}
    for warm in (False, True):
        lines = file.with_name(f"jobs-{warm}")
        logged = ("--logger", "tagdistill", "--logger-tagdistill-file", str(lines))
        done = replace(finished, warm=warm).snakemake(file, *logged, "--dry-run")
        jobs = read_jobs(lines.read_text(encoding="utf-8").splitlines()) if lines.exists() else []
        said = re.sub(r"^\[.* \d\d:\d\d:\d\d \d{4}\]$", "", done.stdout, flags=re.MULTILINE)
        runs[warm] = (
            done.returncode,
            sorted(in_order(line) for line in said.splitlines()),
            sorted((job.rule, *job.wildcards.values(), in_order(job.reason), *sorted(job.output)) for job in jobs),
        )
    assert runs[True] == runs[False]
    assert runs[True][0] == (case == "a mistake") and bool(runs[True][2]) == (case == "another k")
