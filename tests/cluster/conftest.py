"""One experiment that ran twice, on this machine and on a real Slurm, for the tests to compare."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import slurm
from projects import new_project
from runs import STUDENT, TEACHER, Twice, Watched, experiment, start, use_profile, with_accounting


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    if os.environ.get("TAGDISTILL_SLURM") != "1":
        pytest.skip("a Slurm is started by `make test-slurm` alone")
    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.running(tmp_path_factory.mktemp("slurm") / "base") as running:
        yield running
    slurm.end_strays(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def twice(cluster: slurm.Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    folder = tmp_path_factory.mktemp("runs")
    local, remote = new_project(folder / "local"), new_project(folder / "cluster")
    use_profile(remote)
    config = remote.write(experiment())
    here = start(local, local.write(experiment()), folder / "local.log", "--cores", "1")
    there = start(remote, config, folder / "cluster.log", "--workflow-profile", "slurm", **with_accounting())
    try:
        watched = Watched(cluster, there, folder / "cluster.log")
        cancelled = watched.job_with_a_checkpoint(remote.path / TEACHER, "rule_train_teacher")
        cluster.ask("scancel", cancelled)
        lost = watched.job_with_a_checkpoint(remote.path / STUDENT, "rule_train_student")
        cluster.lose_node(lost)
        watched.wait_for_words(f"'{lost}' failed")  # it has asked after the job, and was told NODE_FAIL
        cluster.start_again(lost)
        assert there.wait(watched.left) == 0, watched.said()
        assert here.wait(watched.left) == 0, (folder / "local.log").read_text()[-4000:]
    finally:
        for process in (here, there):
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait(10)
    yield Twice(local, remote, watched.said(), cancelled, lost, cluster.requests())
