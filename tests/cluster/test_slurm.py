"""A real Slurm: the workflow runs on it with its profile, loses a job and goes on, and ends as on one machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import slurm
from projects import new_project
from runs import RESULTS, Twice, experiment, start, use_profile

from tagdistill.artifacts.files import sha256_file

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


def hashes(project, pattern: str) -> dict[str, str]:
    base = project.path / RESULTS
    return {str(file.relative_to(base)): sha256_file(file) for file in base.glob(pattern)}


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("**/model/model.safetensors", 2),
        ("**/model/config.json", 2),
        ("features/**/*.safetensors", 2),
        ("data/**/*.parquet", 2),
        ("targets/**/*.parquet", 1),
        ("teachers/**/*.parquet", 1),
        ("predictions/**/*.conll", 2),
        ("metrics/**/*.json", 2),
        ("tables/*.tsv", 7),
    ],
)
def test_the_results_are_those_of_a_local_run_byte_for_byte(pattern: str, files: int, twice: Twice):
    local = hashes(twice.local, pattern)
    assert len(local) >= files
    assert hashes(twice.cluster, pattern) == local


def test_a_cancelled_training_runs_again_from_its_checkpoint(twice: Twice):
    assert re.search(rf"'{twice.cancelled}' failed, SLURM status is: 'CANCELLED", twice.said)
    assert resumed(twice, "train_teacher/en-crf-0.*.log")


def test_the_second_attempt_asks_for_twice_the_memory_and_time(twice: Twice):
    asked = [job for job in twice.requests if job["Comment"].startswith("rule_train_teacher")]
    assert [job["TimeLimit"] for job in asked] == ["04:00:00", "08:00:00"]
    first, second = (int(job["MinMemoryNode"].removesuffix("M")) for job in asked)
    assert (first >= 4000, second) == (True, 2 * first)


def test_a_training_that_is_lost_with_its_node_goes_on_from_its_checkpoint(twice: Twice):
    # Snakemake is told NODE_FAIL, and waits for the same job instead of starting another.
    assert twice.said.count(f"'{twice.lost}' failed") == twice.said.count(
        f"'{twice.lost}' failed with status 'NODE_FAIL'"
    )
    (asked,) = [job for job in twice.requests if job["Comment"].startswith("rule_train_student")]
    assert (asked["JobId"], asked["Restarts"], asked["JobState"]) == (twice.lost, "1", "COMPLETED")
    assert resumed(twice, "train_student/posterior-0.*.log")


def test_a_cluster_without_accounting_is_asked_by_squeue(cluster: slurm.Slurm, tmp_path: Path):
    project = new_project(tmp_path / "project")
    use_profile(project, **{"slurm-status-command": "squeue"})
    log, file = tmp_path / "cluster.log", f"{RESULTS}/data/en/report.json"
    run = start(project, project.write(experiment()), log, "--workflow-profile", "slurm", file)
    try:
        assert run.wait(120) == 0, log.read_text(encoding="utf-8")
    finally:
        if run.poll() is None:
            os.killpg(run.pid, 9)
            run.wait(10)
    assert (project.path / file).is_file()


def resumed(twice: Twice, pattern: str) -> bool:
    (log,) = (twice.cluster.path / "logs/tiny").glob(pattern)
    return "resuming from checkpoint-" in log.read_text(encoding="utf-8")
