"""Jobs that are forked make what jobs make that are not, and are measured as those are."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from projects import Project, experiment, new_project, write_data
from test_interrupted import hashes

from tagdistill.workflow.forking.forks import VARIABLE

SAID = "Jobs are forked from a process"
TIMED = {"metrics.jsonl", "training.json"}  # say how long a training took

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")


def test_forked_jobs_make_the_same_bytes(finished: Project, tmp_path: Path):
    project = new_project(tmp_path / "project")
    write_data(project.path / "data" / "en")
    done = project.snakemake(project.write(experiment()), "--cores", "2", **{VARIABLE: "no"})
    assert done.returncode == 0, done.stdout[-4000:]
    assert SAID in (finished.path / "done").read_text(encoding="utf-8") and SAID not in done.stdout
    made, forked = (hashes(each, "results/shared") for each in (project, finished))
    assert len(made) > 50 and made.keys() == forked.keys()
    assert {file for file in made if made[file] != forked[file] and Path(file).name not in TIMED} == set()


def test_a_job_s_memory_is_measured(finished: Project):
    files = [*finished.path.glob("benchmarks/shared/train_student/*.tsv")]
    for file in files:
        (row,) = csv.DictReader(file.open(encoding="utf-8"), delimiter="\t")
        assert float(row["max_rss"]) > 50, file  # MB; of its client alone: 20
    assert len(files) > 1
