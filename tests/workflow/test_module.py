"""Another workflow may take this one's rules: the example of docs/guide/module.md, planned and run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from documented import FENCE, ROOT, commands
from projects import PARTS, Project, new_project, output


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A workflow beside a copy of tagdistill, with a config that holds an experiment's under one key."""
    path = tmp_path_factory.mktemp("outer")
    inner = new_project(path / "tagdistill")
    page = (ROOT / "docs/guide/module.md").read_text(encoding="utf-8")
    (snakefile,) = (text for kind, text in FENCE.findall(page) if kind == "python")
    (path / "Snakefile").write_text(snakefile, encoding="utf-8")
    config(path)
    assert set(PARTS) <= {p.name for p in inner.path.iterdir()}
    return Project(path, inner.sources)


def config(path: Path, **changes: Any) -> None:
    tagger = yaml.safe_load((ROOT / "config/tiny.yaml").read_text(encoding="utf-8")) | changes
    (path / "config.yaml").write_text(yaml.safe_dump({"tagger": tagger, "own": 1}), encoding="utf-8")


def snakemake(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.snakemake(None, *arguments)


def test_a_step_of_ones_own_runs_on_a_result_of_the_module(outer: Project):
    (command,) = (c for c in commands() if c.page == "module.md" and c.whole)
    done = snakemake(outer, *command.words[1:])
    assert done.returncode == 0, done.stdout[-4000:]
    assert len((outer.path / "sentences.txt").read_text(encoding="utf-8").splitlines()) == 4  # a line a split
    assert (outer.path / "results/tiny/data/es/train.parquet").is_file()
    assert not (outer.path / "tagdistill/results").exists()
    again = snakemake(outer, "count", "--dry-run", "--rerun-triggers", "mtime", "params", "software-env")
    assert "Nothing to be done" in again.stdout


def test_all_rules_of_the_module_are_there_under_their_new_names(outer: Project):
    jobs = outer.plan(None, "tagger_all", "--config", "other=2")
    assert jobs.count["tagger_train_student"] == 10 and jobs.count["tagger_report"] == 1
    (outer.path / "config").mkdir()
    (outer.path / "config/config.yaml").write_text("own: 1", encoding="utf-8")  # no demo, whatever its name
    assert "tagger_report" in output(outer, "plan")


def test_a_mistake_in_the_modules_config_is_told_as_everywhere(outer: Project):
    config(outer.path, task="nre")
    done = snakemake(outer, "count", "--dry-run")
    config(outer.path)
    assert done.returncode == 1
    assert "task: cannot be 'nre'\n  Did you mean 'ner'?" in done.stdout and "Traceback" not in done.stdout
