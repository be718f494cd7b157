"""One experiment to run twice, on this machine and on a real Slurm, and how the latter is watched."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slurm
import yaml
from projects import Project

from tagdistill.training.checkpoints import COMPLETE

LIMIT = 840.0  # seconds for everything
RESULTS = "results/tiny"
TEACHER = f"{RESULTS}/teachers/en/crf/seed-0"
STUDENT = f"{RESULTS}/students/posterior/seed-0"


@dataclass
class Twice:
    """The two projects, what Snakemake said on the cluster, and what was done to its jobs."""

    local: Project
    cluster: Project
    said: str
    cancelled: str  # id of the teacher's job
    lost: str  # id of the student's job
    requests: list[dict[str, str]] = field(repr=False)  # what each job asked for


def experiment() -> dict[str, Any]:
    """Return config/tiny.yaml with one teacher and one student, who train for some seconds."""
    values = yaml.safe_load((slurm.ROOT / "config/tiny.yaml").read_text(encoding="utf-8"))
    values["languages"] = {"en": {"source": "demo", "splits": ["train", "test"]}}
    values["zero_shot"] = {}
    values["distill"]["objectives"] = ["posterior"]
    values["teacher"]["updates"] = 2000
    values["student"]["updates"] = 1000
    return values


def use_profile(project: Project, **changes: Any) -> None:
    """Edit the profile as its user would: no accounts, and this node's small jobs are asked after often."""
    file = project.path / "workflow/profiles/slurm/config.yaml"
    profile = yaml.safe_load(file.read_text(encoding="utf-8"))
    profile |= {"slurm-no-account": True, "latency-wait": 15, "slurm-init-seconds-before-status-checks": 9}
    file.write_text(yaml.safe_dump(profile | changes), encoding="utf-8")


def with_accounting() -> dict[str, str]:
    """Return the environment in which `sacct` answers, though no accounting daemon runs."""
    return {"PATH": f"{Path(__file__).parent / 'accounting'}{os.pathsep}{os.environ['PATH']}"}


def start(project: Project, config: Path, log: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            project.command(config, *arguments),
            cwd=project.path,
            env=project.environment() | {"TAGDISTILL_CHECKPOINT_SECONDS": "0.7"} | environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


class Watched:
    """A Snakemake on the cluster, with the time that is left for it."""

    def __init__(self, cluster: slurm.Slurm, process: subprocess.Popen[bytes], log: Path) -> None:
        self.cluster, self.process, self.log = cluster, process, log
        self.end = time.monotonic() + LIMIT

    @property
    def left(self) -> float:
        return max(1.0, self.end - time.monotonic())

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8") + self.cluster.logs()

    def job_with_a_checkpoint(self, model: Path, rule: str) -> str:
        """Wait until a training has saved a whole checkpoint, and return the id of its job, which still runs."""
        while not list((model / "model").resolve().parent.glob(f"checkpoints/*/{COMPLETE}")):
            assert self.process.poll() is None and time.monotonic() < self.end, self.said()
            time.sleep(0.1)
        running = [job for job, comment in self.cluster.jobs("R").items() if comment.startswith(rule)]
        assert len(running) == 1, self.cluster.jobs("all")
        return running[0]

    def wait_for_words(self, words: str) -> None:
        """Wait until Snakemake has said something."""
        while words not in self.log.read_text(encoding="utf-8"):
            assert self.process.poll() is None and time.monotonic() < self.end, self.said()
            time.sleep(0.1)
