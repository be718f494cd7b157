"""What `pip install tagdistill` installs is enough to label text; everything else says what to install."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny_taggers import exported

ROOT = Path(__file__).parents[2]

# Refuses every package of site-packages that is not among those given, as if it were not installed.
ONLY = """
import importlib.abc, json, os, runpy, sys
blocked = set(json.loads(os.environ["BLOCKED"]))
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""
LABEL = """
from tagdistill import Tagger
print(len(Tagger.from_pretrained(sys.argv[1])("Ada Lovelace came to Oslo.").labels))
"""
COMMAND = """
from tagdistill.cli.main import main
main()
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_with(listed: list[str]) -> set[str]:
    """Return the distributions that these requirements install, with all that they require themselves."""
    found: set[str] = set()
    waiting = [(Requirement(text), frozenset({""})) for text in listed]
    while waiting:
        requirement, extras = waiting.pop()
        wanted = any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras)
        name = canonical(requirement.name)
        if not wanted or (name in found and not requirement.extras):
            continue
        found.add(name)
        try:
            inner = requires(requirement.name) or []
        except PackageNotFoundError:
            continue
        waiting += [(Requirement(text), frozenset({"", *requirement.extras})) for text in inner]
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def run(project):
    """Run Python where nothing is installed but what `pip install tagdistill` installs."""
    there = installed_with(project["dependencies"]) | {"tagdistill"}
    blocked = [
        module
        for module, names in packages_distributions().items()
        if not any(canonical(name) in there for name in names)
    ]
    assert {"torch", "transformers", "snakemake"} <= set(blocked)
    environment = {"BLOCKED": json.dumps(blocked)}

    def run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ONLY + code, *words]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("student"), "fp32")


def test_an_exported_student_labels_text(run, student):
    done = run(LABEL, str(student))
    assert (done.stdout, done.stderr) == ("6\n", "")


def test_text_is_labelled_from_the_command_line(run, student, tmp_path):
    (tmp_path / "x.txt").write_text("Ada Lovelace came to Oslo.\n")
    for ending in ("conll", "jsonl", "html"):
        words = ["predict", str(tmp_path / "x.txt"), "--model", str(student), "--output", str(tmp_path / f"y.{ending}")]
        done = run(COMMAND, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and (tmp_path / f"y.{ending}").stat().st_size
    done = run(COMMAND, *words[:-1], str(tmp_path / "y.parquet"))
    assert done.returncode == 1 and "this needs pyarrow, which is not installed" in done.stderr
    assert not (tmp_path / "y.parquet").exists()


TEXTS = {
    "a.txt": "Ada Lovelace came to Oslo.\n",
    "a.conll": "Ada O\n. O\n",
    "a.conllu": "1\tAda\tada\tPROPN\t_\t_\t0\troot\t_\t_\n\n",
    "a.jsonl": '{"text": "Ada came."}\n',
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("to", ["conll", "jsonl", "html"])
def test_files_are_labelled(run, student, tmp_path, name, to):
    (tmp_path / name).write_text(TEXTS[name])
    out = tmp_path / "out"
    done = run(COMMAND, "predict", str(tmp_path / name), "--model", str(student), "--to", to, "--output", str(out))
    assert done.returncode == 0, done.stderr
    assert "Ada" in out.read_text()


def test_parquet_is_an_extra(run, student, tmp_path):
    (tmp_path / "a.txt").write_text("Ada")
    words = ("--model", str(student), "--output", str(tmp_path / "out.parquet"))
    done = run(COMMAND, "predict", str(tmp_path / "a.txt"), *words)
    assert done.returncode == 1 and "'tagdistill[parquet]' this alone" in done.stderr


def test_a_saved_model_and_a_training_say_what_to_install(run, student, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    saved = run(LABEL, str(tmp_path))
    assert "this needs torch, which is not installed" in saved.stderr and "tagdistill[train]" in saved.stderr
    for words in (["plan"], ["config", "check"], ["compare", ".", "--out", "x"]):
        done = run(COMMAND, *words, str(ROOT / "config" / "tiny.yaml"))
        assert done.returncode == 1 and done.stdout == "", words
        assert re.fullmatch(r"error: this needs \w+, which is not installed\n  .*tagdistill\[train\].*\n", done.stderr)


def test_help_needs_nothing_else(run):
    for words in (["--help"], ["predict", "--help"], ["train-teacher", "--help"]):
        done = run(COMMAND, *words)
        assert done.returncode == 0 and "Usage" in done.stdout, done.stderr


def test_all_that_the_code_imports_is_required_somewhere(project):
    """A package that only another one happens to bring along is missing one day."""
    listed = [
        *project["dependencies"],
        *(
            text
            for name in ("parquet", "icu", "serve", "spacy", "train", "s3")
            for text in project["optional-dependencies"][name]
        ),
    ]
    ours = {canonical(Requirement(text).name) for text in listed}
    ours |= {
        name
        for text in requires("snakemake") or []
        if (name := canonical(Requirement(text).name)) and "-interface-" in name
    }
    by_module = {module: {canonical(name) for name in names} for module, names in packages_distributions().items()}
    brought = {"triton", "pydantic_core", "botocore"}  # by torch for GPUs, pydantic and boto3, which are built on them
    missing = {}
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - brought:
                if not by_module.get(module, {canonical(module)}) & (ours | {"tagdistill"}):
                    missing[module] = str(file.relative_to(ROOT))
    assert missing == {}
