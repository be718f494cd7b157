"""Every command and every config that a page shows is one that works: a new one that no test knows fails here."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from documented import ROOT, TOOLS, Command, blocks, commands
from projects import Project, new_project

from tagdistill.cli import main as cli
from tagdistill.experiment.config import check_experiment, read_yaml

COMMANDS = commands()
# Console lines of other tools, each looked at by a person.
OTHERS = {". .venv/bin/activate", "$EDITOR workflow/profiles/slurm/config.yaml"}
# What the reader puts in: his own folder or file.
PLACEHOLDERS = ("FOLDER", "FILE", "NAME", "OTHER", "DIR", "KEY")


def of(tool: str, *, whole: bool | None = None) -> list[Command]:
    return [c for c in COMMANDS if c.tool == tool and (whole is None or c.whole == whole)]


def test_the_pages_hold_commands_and_no_others_than_these_tools():
    assert len(of("tagdistill", whole=True)) >= 4 and len(of("snakemake")) >= 5 and len(of("make")) >= 3
    strange = [
        str(c)
        for c in COMMANDS
        if c.whole and c.tool not in (*TOOLS, "pip", "export") and c.text.partition(" #")[0] not in OTHERS
    ]
    assert strange == []


@pytest.mark.parametrize("command", of("pip"), ids=str)
def test_what_is_installed_has_these_extras(command: Command):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert command.words[1] == "install"
    for word in command.words[2:]:
        found = re.fullmatch(r"(?:\./)?tagdistill(?:\[(\w+)\])?", word)
        assert found and (found[1] is None or found[1] in extras), word


@pytest.mark.parametrize("command", of("export"), ids=str)
def test_a_variable_that_is_set_is_one_that_is_read(command: Command):
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py"))
    for name in (word.partition("=")[0] for word in command.words[1:]):
        assert name.startswith("AWS_") or name in sources, name


# -- tagdistill


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the words after it."""
    found: Any = typer.main.get_command(cli.app)
    rest = list(words)
    while hasattr(found, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in found.commands, f"no command {rest[0]!r}"
        found, rest = found.commands[rest[0]], rest[1:]
    return found, rest


@pytest.mark.parametrize("command", of("tagdistill"), ids=str)
def test_a_command_of_tagdistill_is_known_with_its_options(command: Command):
    found, rest = resolved(command.words[1:])
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert given <= options | {"--help"}
    if command.whole and not hasattr(found, "commands"):
        found.make_context(str(found.name), list(rest))  # an argument that is missing or too much ends here


# -- make


@pytest.mark.parametrize("command", of("make"), ids=str)
def test_a_target_of_make_is_there(command: Command):
    done = subprocess.run(["make", "-n", *command.words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- snakemake


@pytest.mark.parametrize("command", of("snakemake"), ids=str)
def test_a_command_of_snakemake_has_known_options_and_files(command: Command):
    from snakemake.cli import get_argument_parser

    options, unknown = get_argument_parser().parse_known_args(command.words[1:])
    assert [word for word in unknown if word.startswith("-") and not word.startswith(("--slurm", "--storage"))] == []
    for file in options.configfile or []:
        assert Path(file).name == "mine.yaml" or (ROOT / file).is_file() or any(p in str(file) for p in PLACEHOLDERS)
    for name in (options.workflow_profile, options.profile):
        assert not name or (ROOT / "workflow/profiles" / name / "config.yaml").is_file()


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of its own with the README's own config, and files for it."""
    project = new_project(tmp_path_factory.mktemp("mine") / "project")
    _, text = next(block for block in blocks("yaml") if "name: mine" in block[1])
    (project.path / "mine.yaml").write_text(text, encoding="utf-8")
    for language in ("en", "nl", "de"):
        (project.path / "data" / language).mkdir(parents=True)
        for name in ("train.conll", "dev.conll", "test.conll", "plain.txt"):
            (project.path / "data" / language / name).write_text("Ada B-PER\n", encoding="utf-8")
    return project


def planned(command: Command) -> bool:
    """Return whether a dry run of a command tells anything: it runs jobs, of a config that is at hand."""
    words = command.words
    if command.page == "module.md":  # of a workflow of its own, which test_module.py runs
        return False
    other = ("--report", "--unlock", "--lint", "--workflow-profile", "--profile", "root=FOLDER", "--executor")
    return (
        len(words) > 1
        and not any(w in words for w in other)
        and not any(p in word for p in PLACEHOLDERS for word in words)
    )


@pytest.mark.parametrize("command", [c for c in of("snakemake") if planned(c)], ids=str)
def test_a_command_of_snakemake_plans_something(command: Command, mine: Project):
    done = mine.snakemake(None, *command.words[1:], "--dry-run", "--quiet", "all")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", [c for c in of("tagdistill", whole=True) if "mine.yaml" in c.words], ids=str)
def test_a_command_on_the_config_of_the_readme_runs(command: Command, mine: Project):
    arguments = [sys.executable, "-m", "tagdistill", *command.words[1:]]
    done = subprocess.run(
        arguments, cwd=mine.path, env=mine.environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


# -- configs


@pytest.mark.parametrize("page_and_text", blocks("yaml"), ids=lambda block: f"{block[0]} {block[1][:20]!r}")
def test_a_config_or_a_part_of_one_on_a_page_is_valid(page_and_text: tuple[str, str]):
    page, text = page_and_text
    values: dict[str, Any] = yaml.safe_load(text)
    whole = "name" in values
    if not whole:  # a part: the rest is that of the default config
        base = read_yaml(ROOT / "config/default.yaml")
        values = {**base, "zero_shot": {}, **values}
    check_experiment(values, page)
