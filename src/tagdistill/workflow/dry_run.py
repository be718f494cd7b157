"""The jobs that a run would have: Snakemake's dry run, read through our logger plug-in."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.errors import TagdistillError, missing_package

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREAMBLE = ("Using ", "host:", "Assuming")  # how Snakemake's lines on profiles and the host begin
MAX_MESSAGE_LINES = 8
NO_WORKFLOW = "No Snakefile found"
ELSEWHERE = "The workflow is looked for in this folder: change to the one that holds the Snakefile of tagdistill."


@dataclass(frozen=True)
class Job:
    """One job that Snakemake would run; `benchmark` is where its time would be written."""

    rule: str
    wildcards: Mapping[str, str]
    reason: str
    output: Sequence[str]
    benchmark: str

    @property
    def name(self) -> str:
        """Its wildcards as one text, without long keys."""
        return " ".join(
            value for name, value in self.wildcards.items() if value and name not in ("features", "encoder", "key")
        )


def dry_run(arguments: Sequence[str]) -> list[Job]:
    """Return the jobs that `snakemake ARGUMENTS` would run. Raises TagdistillError with Snakemake's message."""
    if find_spec("snakemake") is None:
        raise missing_package(ModuleNotFoundError(name="snakemake"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "jobs"
        logger = ("--logger", "tagdistill", "--logger-tagdistill-file", str(file))
        command = [sys.executable, "-m", "snakemake", *arguments, "--dry-run", *logger]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            hint = ELSEWHERE if NO_WORKFLOW in done.stdout else None
            raise TagdistillError(_message(done.stdout), where="snakemake", hint=hint)
        return read_jobs(file)


def read_jobs(file: Path) -> list[Job]:
    """Return the jobs that the logger plug-in wrote; none if it wrote no file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [field.name for field in fields(Job)]
    return [Job(**{name: record[name] for name in names}) for record in map(json.loads, lines)]


def _message(output: str) -> str:
    """Return the end of Snakemake's output, where its error message is."""
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith(PREAMBLE)]
    return "\n  ".join(lines[-MAX_MESSAGE_LINES:]) or "it failed without a message"
