"""A finished experiment that the tests of the workflow share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from projects import Project, experiment, new_project, write_data


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project with a finished experiment. Tests must not change it: those that do work on a copy."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if worker_id != "master" else base  # one run for all workers of pytest-xdist
    path = shared / "finished"
    with FileLock(shared / "finished.lock"):
        if not (path / "done").exists():
            shutil.rmtree(path, ignore_errors=True)
            project = new_project(path)
            write_data(path / "data" / "en")
            # Without a network: test_offline.py looks at what was tried.
            arguments = ("--cores", "2", "--logger", "tagdistill", "--logger-tagdistill-file", str(path / "jobs"))
            offline = project.offline(path / "offline.log")
            done = project.snakemake(project.write(experiment()), *arguments, **offline)
            assert done.returncode == 0, done.stdout[-8000:]
            (path / "done").write_text(done.stdout, encoding="utf-8")
    return Project(path, path / "src")


@pytest.fixture
def copied(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project that a test may change."""
    return finished.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which nothing has run; for dry runs."""
    return new_project(tmp_path_factory.mktemp("fresh") / "project")
