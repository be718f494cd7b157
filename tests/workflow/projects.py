"""A copy of the workflow to run, and a way to ask Snakemake what it would run next."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import warm
import yaml

from tagdistill.data import demo

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "config", "envs", "src")
LINKS = ("links", "show", "show_model")
BIG = 1_200_000  # bytes: above the size to which Snakemake compares files by content on its own


@dataclass(frozen=True)
class Job:
    """One planned job."""

    rule: str
    wildcards: dict[str, str]
    reason: str
    output: list[str]
    resources: dict[str, int | str]

    def __str__(self) -> str:
        return " ".join([self.rule, *self.wildcards.values()])


@dataclass
class Jobs:
    """What one dry run plans."""

    jobs: list[Job]
    text: str = field(repr=False)

    @property
    def count(self) -> Counter[str]:
        """Jobs of each rule; named targets, and links to results, are left out."""
        return Counter(job.rule for job in self.jobs if job.output and job.rule not in LINKS)

    def of(self, rule: str, *names: str) -> list[tuple[str, ...]]:
        """Return the values of some wildcards of the jobs of a rule, sorted."""
        return sorted(tuple(job.wildcards[name] for name in names) for job in self.jobs if job.rule == rule)

    def languages(self) -> set[str]:
        return {job.wildcards["lang"] for job in self.jobs if "lang" in job.wildcards}


@dataclass
class Project:
    """A copy of the workflow with its own sources and results; `sources` is the package that its jobs run."""

    path: Path
    sources: Path
    warm: bool = True  # dry runs do not import Snakemake again

    def environment(self) -> dict[str, str]:
        folder = str(Path(sys.executable).parent)
        return os.environ | {
            "PYTHONPATH": str(self.sources),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }

    def offline(self, log: Path) -> dict[str, str]:
        """Return what keeps the processes of a run from the network, and writes their attempts into a file."""
        blocker = Path(__file__).parent / "offline"
        return {"PYTHONPATH": f"{blocker}{os.pathsep}{self.sources}", "OFFLINE_LOG": str(log)}

    def command(self, config: Path | None, *arguments: str, start: list[str] | None = None) -> list[str]:
        chosen = ["--configfile", str(config)] if config else []
        return [*(start or [sys.executable, "-m", "snakemake"]), *arguments, *chosen]

    def snakemake(self, config: Path | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; standard output and error come back together."""
        start = warm.command("snakemake", *warm.SNAKEMAKE) if self.warm and "--dry-run" in arguments else None
        return subprocess.run(
            self.command(config, *arguments, start=start),
            cwd=self.path,
            env=self.environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )

    def write(self, values: dict[str, Any], name: str = "experiment.yaml") -> Path:
        """Write a config file of this project."""
        folder = Path(tempfile.mkdtemp(dir=self.path, prefix="config-"))
        (folder / name).write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return folder / name

    def plan(self, config: dict[str, Any] | Path | None, *arguments: str) -> Jobs:
        """Return what a run would do."""
        file = self.write(config) if isinstance(config, dict) else config
        with tempfile.TemporaryDirectory() as folder:
            jobs = Path(folder) / "jobs"
            logged = ("--logger", "tagdistill", "--logger-tagdistill-file", str(jobs))
            done = self.snakemake(file, *arguments, *logged, "--dry-run")
            assert done.returncode == 0, done.stdout
            lines = jobs.read_text(encoding="utf-8").splitlines() if jobs.exists() else []
        assert bool(lines) != ("Nothing to be done" in done.stdout), done.stdout
        return Jobs(read_jobs(lines), done.stdout)

    def run(self, config: dict[str, Any] | Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        file = self.write(config) if isinstance(config, dict) else config
        return self.snakemake(file, "--cores", "2", *arguments)

    def real(self, place: str) -> Path:
        """Return the file or folder that a link of the experiment `tiny` leads to, or will."""
        return (self.path / "results/tiny" / place).resolve()

    def copy(self, to: Path) -> Project:
        """Return this project with its results in another folder, as `cp -a` would."""
        shutil.copytree(self.path, to, symlinks=True)
        return Project(to, self.sources)


def tagdistill(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tagdistill", *arguments],
        cwd=project.path,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def output(project: Project, *arguments: str) -> str:
    done = tagdistill(project, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_jobs(lines: list[str]) -> list[Job]:
    """Return the jobs that Snakemake's logger `tagdistill` listed, one line each."""
    names = [each.name for each in fields(Job)]
    return [Job(**{name: job[name] for name in names}) for job in map(json.loads, lines)]


def new_project(path: Path) -> Project:
    """Lay a copy of the workflow and of the package's sources."""
    path.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / part, path / part)
    (path / "profiles").symlink_to("workflow/profiles")
    return Project(path, path / "src")


def experiment() -> dict[str, Any]:
    """Return config/tiny.yaml with three objectives, English read from files, Spanish from the demo."""
    values = yaml.safe_load((ROOT / "config/tiny.yaml").read_text(encoding="utf-8"))
    splits = {split: f"data/en/{split}.conll" for split in ("train", "dev", "test")}
    values["languages"]["en"] = {"source": "path", "format": "conll", "scheme": "BIOES", **splits}
    values["distill"]["objectives"] = ["baseline", "posterior", "structural"]
    return values


def write_data(folder: Path) -> None:
    """Write the English demo as CoNLL files; the training file is a big one."""
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        sentences = list(demo.sentences("en", split))
        lines = ["".join(f"{t} {x}\n" for t, x in zip(*pair, strict=True)) + "\n" for pair in sentences]
        text = "".join(lines)
        times = BIG // len(text) + 1 if split == "train" else 1
        (folder / f"{split}.conll").write_text(text * times, encoding="utf-8")
