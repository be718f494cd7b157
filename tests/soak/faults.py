"""Every stage on a file system that fails: at each change that it makes to a file, in turn, in four ways (fault.c).

For each rule one job's own command is run. After each failure no result is half there, the message names what went
wrong without a traceback, and the same command, given once more, ends with the bytes of an undisturbed run and leaves
nothing beside them. Writes a JSON file of counts and of every finding.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import warm
from projects import Project, experiment, new_project, write_data

from tagdistill.artifacts.files import sha256_file
from tagdistill.errors import TagdistillError

KINDS = ("full", "readonly", "error", "kill")
WORDS = {
    "full": r"space|cannot write",
    "readonly": r"[Rr]ead-only|cannot write",
    "error": r"[Ii]nput/output|I/O|cannot",
    "kill": "",
}
SECONDS = 120
RESULTS = ("results", "resources")
# What a stage writes for itself: locks and the checkpoints of an interrupted training are no results.
OWN = re.compile(r"/checkpoints/|\.lock$|\.snakemake_timestamp$")
TIMED = re.compile(
    r"/metrics\.jsonl$|/training\.json$|\.html$|/time\.svg$"
)  # what tells how long something took, or when it was


@dataclass
class Finding:
    """A failure after which something was not as promised."""

    rule: str
    kind: str
    at: int
    operation: str
    what: str


@dataclass
class Stage:
    """One job: its command, and the files and folders that it makes."""

    rule: str
    command: str
    outputs: list[Path]


@dataclass
class Sweep:
    """The runs of one stage, and what was found."""

    project: Project
    stage: Stage
    reference: dict[str, str]
    runs: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def run(self, **faults: str) -> subprocess.CompletedProcess[str]:
        """Run the command with the faults that the environment names."""
        environment = self.project.environment() | {
            "TAGDISTILL_CHECKPOINT_SECONDS": "0",
            "FAULT_ROOT": str(self.project.path),
            "PATH": f"{self.project.path / 'warm'}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.run(
            ["bash", "-c", self.stage.command],
            cwd=self.project.path,
            env=environment | faults,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
        )

    def remove_outputs(self) -> None:
        """Remove what the job makes, as Snakemake does before it runs a job."""
        for path in self.stage.outputs:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def operations(self) -> list[str]:
        """Return the changes that an undisturbed run of the command makes to files, in their order."""
        self.remove_outputs()
        with tempfile.TemporaryDirectory() as folder:
            count = Path(folder) / "count"
            done = self.run(FAULT_COUNT=str(count))
            assert done.returncode == 0, f"{self.stage.rule}: {done.stdout[-3000:]}"
            lines = count.read_text(encoding="utf-8").splitlines() if count.exists() else []
        assert self.differing() == [], f"{self.stage.rule} is not reproducible: {self.differing()}"
        return lines

    def differing(self) -> list[str]:
        """Return the files that are not as in the undisturbed run, those that are too many included."""
        now = hashes(self.project.path)
        return sorted(name for name in now.keys() | self.reference.keys() if now.get(name) != self.reference.get(name))

    def disturb(self, kind: str, at: int, operation: str, *, present: bool) -> None:
        """Run the command once with a fault, once without, and note what is not as it should be."""
        if not present:
            self.remove_outputs()
        self.runs[kind] += 1
        try:
            done = self.run(FAULT_KIND=kind, FAULT_AT=str(at))
        except subprocess.TimeoutExpired:
            self.note(kind, at, operation, "did not end")
            return
        for what in self.promises(kind, done, present=present):
            self.note(kind, at, operation, what)
        again = self.run()
        if again.returncode != 0:
            self.note(kind, at, operation, f"the same command again fails: {again.stdout[-300:]}")
        elif left := self.differing():
            self.note(kind, at, operation, f"after the same command again: {', '.join(left[:5])}")
        self.restore()

    def promises(self, kind: str, done: subprocess.CompletedProcess[str], *, present: bool) -> list[str]:
        """Return what a failed run did not keep of what is promised."""
        broken = []
        changed = [name for name in self.differing() if not is_temporary(name)]
        half = [name for name in changed if present or (self.project.path / name).exists()]
        if done.returncode == 0 and changed:
            broken.append(f"ended well without {', '.join(changed[:3])}")
        elif half:
            broken.append(f"left a changed or half-written {', '.join(half[:3])}")
        if "Traceback" in done.stdout:
            broken.append(f"a traceback: {done.stdout[-300:]}")
        if done.returncode != 0 and not re.search(WORDS[kind], done.stdout):
            broken.append(f"a message that does not say it: {done.stdout[-200:]}")
        return broken

    def note(self, kind: str, at: int, operation: str, what: str) -> None:
        finding = Finding(self.stage.rule, kind, at, operation.replace(str(self.project.path), ""), what)
        print(f"  {finding}", flush=True)  # noqa: T201
        self.findings.append(finding)

    def restore(self) -> None:
        """Bring back what the undisturbed run left, for the next failure."""
        for name in self.differing():
            path = self.project.path / name
            if name in self.reference:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.project.path.parent / "reference" / name, path)
            else:
                path.unlink()


def is_temporary(name: str) -> bool:
    """Return whether a file is one that a run had not finished: a hidden name in its folder or above."""
    return any(part.startswith(".") for part in Path(name).parts)


def hashes(project: Path) -> dict[str, str]:
    """Return the checksum of every file below results and resources, but for what a stage keeps for itself.

    Files that tell times have none: they are whole, or not.
    """
    files = [file for folder in RESULTS for file in (project / folder).rglob("*") if file.is_file()]
    named = {f"/{file.relative_to(project)}": file for file in files}
    return {
        name[1:]: ("whole" if is_whole(file) else "broken") if TIMED.search(name) else sha256_file(file)
        for name, file in named.items()
        if not OWN.search(name)
    }


def is_whole(file: Path) -> bool:
    """Return whether a page or JSON file is not cut off."""
    text = file.read_text(encoding="utf-8")
    if file.suffix in (".html", ".svg"):
        return text.rstrip().endswith(f"</{file.suffix[1:]}>")
    try:
        return bool([json.loads(part) for part in (text.splitlines() if file.suffix == ".jsonl" else [text])])
    except ValueError:
        return False


def stages(project: Project, config: Path) -> list[Stage]:
    """Return one job of each rule that has a command: the one whose log bears the job's wildcards."""
    plan = project.plan(config, "report", "export", "--forceall", "--printshellcmds")
    commands = re.findall(r"^Shell command: (.*?) > (\S+) 2>&1$", plan.text, re.MULTILINE)
    chosen: dict[str, Stage] = {}
    for command, log in commands:
        names = {Path(log).parent.name, Path(log).stem}
        for job in plan.jobs:
            if job.rule in names and job.output and all(value in log for value in job.wildcards.values()):
                outputs = [project.path / path for path in job.output]
                chosen.setdefault(job.rule, Stage(job.rule, command, outputs))
    missing = {job.rule for job in plan.jobs if job.output} - chosen.keys()
    print(f"no command: {', '.join(sorted(missing)) or 'none'}", flush=True)  # noqa: T201
    return list(chosen.values())


def library(folder: Path) -> Path:
    """Compile fault.c."""
    out = folder / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(out), str(source), "-ldl"], check=True)
    return out


def finished(folder: Path) -> tuple[Project, Path]:
    """Return a project whose experiment has run, and its config; a copy of its results stands beside it."""
    project = new_project(folder / "project")
    write_data(project.path / "data" / "en")
    values = experiment()
    values["distill"]["objectives"] = ["baseline", "posterior"]
    config = project.write(values)
    done = project.snakemake(config, "--cores", str(os.cpu_count() or 1), "report", "export")
    if done.returncode:
        raise TagdistillError(f"the undisturbed run failed\n{done.stdout[-4000:]}")
    for name in RESULTS:
        shutil.copytree(project.path / name, folder / "reference" / name)
    return project, config


def main() -> None:
    """Sweep over all stages and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="file to write")
    parser.add_argument("--most", type=int, default=4, help="operations of a stage that fail, at most, for each kind")
    parser.add_argument("--rules", nargs="*", help="these alone")
    options = parser.parse_args()
    chance = random.Random(0)
    totals: Counter[str] = Counter()
    findings: list[Finding] = []
    counted: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        project, config = finished(Path(folder))
        os.environ["LD_PRELOAD"] = str(library(Path(folder)))
        (project.path / "warm").mkdir()
        warm.script(project.path / "warm", "tagdistill", *warm.MODELS)
        del os.environ["LD_PRELOAD"]
        reference = hashes(project.path)
        for stage in stages(project, config):
            if options.rules and stage.rule not in options.rules:
                continue
            sweep = Sweep(project, stage, reference)
            operations = sweep.operations()
            counted[stage.rule] = len(operations)
            print(f"{stage.rule}: {len(operations)} operations", flush=True)  # noqa: T201
            for kind in KINDS:
                for at in sorted(chance.sample(range(len(operations)), min(options.most, len(operations)))):
                    sweep.disturb(kind, at + 1, operations[at], present=chance.random() < 0.5)
            totals += sweep.runs
            findings += sweep.findings
    options.json.parent.mkdir(parents=True, exist_ok=True)
    record = {"operations": counted, "runs": totals, "findings": [asdict(each) for each in findings]}
    options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{sum(totals.values())} failures in {len(counted)} stages, {len(findings)} findings")  # noqa: T201


if __name__ == "__main__":
    main()
