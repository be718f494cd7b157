"""The code in a job's key is the code that the job runs: what its process imports, and what an edit plans."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from projects import Project, experiment

from tagdistill.artifacts.code_key import code_key, import_closure
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.mixture import Mixture
from tagdistill.experiment.plan import Plan

RUNNER = """
import sys
from tagdistill.cli.main import main
sys.argv[0] = "tagdistill"
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
finally:
    print("IMPORTED", *sorted(name for name in sys.modules if name.split(".")[0] == "tagdistill"))
"""
# What reads a job's arguments, and writes links: it hands values to the stage and computes nothing of a result.
COMMAND_LINE = ("tagdistill.cli", "tagdistill.experiment", "tagdistill.workflow")
# Tables: the row that a job uses is in its settings, or is given as modules.
TABLES = ("tagdistill.settings.metrics", "tagdistill.settings.objectives")
# What the command line imports of chains: how their errors are worded, and the names of kernels.
LIGHT_CRF = {f"tagdistill.crf{name}" for name in ("", ".errors", ".kernels", ".kernels.selection")}
# The rules, and the modules of the job that is looked at.
STAGES = {
    "prepare": lambda plan: plan.modules.prepare("en", "test"),
    "data_report": lambda plan: plan.modules.data_report(),
    "repeats": lambda plan: plan.modules.repeats(),
    "convert_encoder": lambda plan: plan.modules.convert_encoder(plan.experiment.encoder),
    "encode": lambda plan: plan.modules.encode(plan.experiment.encoder),
    "train_teacher": lambda plan: plan.modules.teacher("en"),
    "score": lambda plan: plan.modules.score("en", "train"),
    "export_targets": lambda plan: plan.modules.targets(Mixture.named("en")),
    "train_student": lambda plan: plan.modules.student("posterior"),
    "evaluate_student": lambda plan: plan.modules.evaluate("students/posterior/seed-0"),
    "evaluate_teacher": lambda plan: plan.modules.evaluate("teachers/en/crf/seed-0"),
    "report": lambda plan: plan.modules.report(),
    "export_student": lambda plan: plan.modules.export(),
}
JOBS = {
    "prepare": "en-test",
    "train_student": "posterior",
    "train_teacher": "en-crf",
    "score": "en-crf",
    "export_student": "posterior",
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(check_experiment(experiment(), "study.yaml"), Path())


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return finished.copy(tmp_path_factory.mktemp("stages") / "project")


@pytest.fixture(scope="module")
def commands(project: Project) -> dict[str, str]:
    """The shell command of one job of each rule."""
    options = ("--cores", "1", "--dry-run", "--forceall", "--printshellcmds", "--quiet", "host")
    done = project.snakemake(project.write(experiment()), "report", "export", *options)
    assert done.returncode == 0, done.stdout[-3000:]
    found: dict[str, str] = {}
    for command, log in re.findall(r"^Shell command: (.*?) > (\S+) 2>&1$", done.stdout, re.MULTILINE):
        rule = Path(log).parent.name if Path(log).parent.name in STAGES else Path(log).stem
        if JOBS.get(rule, "") in log:
            found.setdefault(rule, command)
    return found


def under(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def imported(project: Project, command: str) -> set[str]:
    """Run a command of a rule and return the modules of the package that its process imported."""
    line = f'{sys.executable} -c "$RUNNER" {command.removeprefix("tagdistill ")}'
    environment = project.environment() | {"RUNNER": RUNNER}
    done = subprocess.run(
        ["bash", "-c", line], cwd=project.path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return set(next(line for line in done.stdout.splitlines() if line.startswith("IMPORTED")).split()[1:])


@pytest.mark.parametrize("rule", STAGES)
def test_a_job_imports_no_module_that_its_key_lacks(rule: str, project: Project, commands: dict[str, str], plan: Plan):
    closure = import_closure(STAGES[rule](plan))
    read_by_command_line = import_closure(["tagdistill.cli.main", "tagdistill.experiment.jobs"])
    lacking = {
        name
        for name in imported(project, commands[rule]) - closure
        if not under(name, COMMAND_LINE) and name not in TABLES
    }
    # What only the command line needed, it imported itself: settings that it parses, and how it words mistakes.
    assert {name for name in lacking if not under(name, ["tagdistill.settings"])} <= read_by_command_line
    assert {name.split(".")[1] for name in lacking} <= {"settings", "artifacts", "errors", "formatting", "crf"}
    assert not {name for name in lacking if under(name, ["tagdistill.crf"])} - LIGHT_CRF


def test_every_rule_that_computes_is_looked_at(commands: dict[str, str]):
    assert set(STAGES) <= set(commands)


# -- edits of the package, and what they plan


def edited(project: Project, to: Path, edits: dict[str, str]) -> Project:
    """Return the project with a copy of the package in which text was added to some files, or files were added."""
    sources = to / "sources"
    shutil.copytree(project.sources, sources)
    for name, text in edits.items():
        file = sources / "tagdistill" / name
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        file.write_text(before + text, encoding="utf-8")
    return Project(project.path, sources)


NOTHING: Counter[str] = Counter()
UNUSED = {
    "an objective that the run does not use": {"distill/losses/top_k.py": "\nEDITED = True\n"},
    "a new objective": {"distill/losses/new.py": "def loss(student, teacher, temperature):\n    return 0\n"},
    "a comment in every file of data": dict.fromkeys(
        ("data/prepare.py", "data/corpus.py", "data/readers/read.py"), "\n# a comment\n"
    ),
    "a file of comments": {"data/notes.py": "# nothing\n"},
    "an unused file in encoders": {"encoders/unused.py": "EDITED = True\n"},
    "a format that the run does not read": {"data/readers/formats/semeval_xml.py": "\nEDITED = True\n"},
    "a new format": {"data/readers/formats/new.py": "EDITED = True\n"},
    "a source that the run does not read": {"data/sources/catalogue/wikiann.py": "\nEDITED = True\n"},
    "a provider that the run does not use": {"encoders/providers/wheel.py": "\nEDITED = True\n"},
    "a kernel that the run does not use": {"crf/kernels/cpp/source/chain.h": "\n// edited\n"},
    "the command line": {"cli/main.py": "\nEDITED = True\n"},
    "the clean-up": {"workflow/cleanup.py": "\nEDITED = True\n"},
}


@pytest.mark.parametrize("edits", UNUSED.values(), ids=UNUSED)
def test_code_that_no_job_uses_plans_nothing(edits: dict[str, str], finished: Project, tmp_path: Path):
    assert edited(finished, tmp_path, edits).plan(experiment()).count == NOTHING


def test_a_docstring_and_other_formatting_plan_nothing(finished: Project, tmp_path: Path):
    project = edited(finished, tmp_path, {})
    file = project.sources / "tagdistill/data/corpus.py"
    text = file.read_text(encoding="utf-8")
    changed = re.sub(r'^"""', '"""Other words. ', text, count=1).replace("(ids", "(\n        ids", 1)
    assert changed != text
    file.write_text(changed, encoding="utf-8")
    assert project.plan(experiment()).count == NOTHING


USED = {
    "parquet.py": ("artifacts/parquet.py", {"prepare", "score", "export_targets"}, {"convert_encoder"}),
    "the writer of scores": ("distill/score_table.py", {"score", "export_targets"}, {"prepare", "encode"}),
    "the loss of a student": ("distill/losses/posterior.py", {"train_student"}, {"train_teacher", "score"}),
    "the kernel": (
        "crf/kernels/scaled.py",
        {"train_teacher", "score", "export_targets", "train_student"},
        {"prepare", "encode"},
    ),
    "the provider": ("encoders/providers/tiny.py", {"convert_encoder", "encode", "train_teacher"}, {"prepare"}),
    "the format": ("data/readers/formats/conll.py", {"prepare", "encode"}, {"convert_encoder"}),
}


@pytest.mark.parametrize(("module", "planned", "never"), USED.values(), ids=USED)
def test_code_that_a_job_uses_plans_it(
    module: str, planned: set[str], never: set[str], finished: Project, tmp_path: Path
):
    jobs = edited(finished, tmp_path, {module: "\nEDITED = True\n"}).plan(experiment())
    assert planned <= set(jobs.count)
    assert not never & set(jobs.count)


def test_one_student_is_planned_for_its_loss_and_one_language_for_its_format(finished: Project, tmp_path: Path):
    loss = edited(finished, tmp_path / "loss", {"distill/losses/posterior.py": "\nEDITED = True\n"})
    assert loss.plan(experiment()).of("train_student", "objective") == [("posterior",)]
    conll = edited(finished, tmp_path / "conll", {"data/readers/formats/conll.py": "\nEDITED = True\n"})
    assert {language for (language,) in conll.plan(experiment()).of("prepare", "lang")} == {"en"}


def test_a_key_is_of_the_code_and_not_of_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert code_key("tagdistill.data.prepare") == code_key("tagdistill.data.prepare", "tagdistill.data.corpus")
    assert code_key("tagdistill.data.prepare") != code_key("tagdistill.data.report")
    with pytest.raises(ValueError, match="no module"):
        code_key("tagdistill.data.none")
