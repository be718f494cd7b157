"""What Snakemake's own options do with this workflow: `--config` with a mapping, `--sdm conda`, long commands."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path

import pytest
from projects import ROOT, Project, experiment, new_project, write_data

CONDA = '''#!{python}
"""Stands in for conda: it takes what Snakemake calls it with, and makes environments without packages."""
import json, pathlib, subprocess, sys, yaml
here = pathlib.Path(__file__).parents[1]
words = sys.argv[1:]
if words == ["--version"]:
    print("conda 25.1.0")
elif words[0] == "info":
    print(json.dumps({{"conda_prefix": str(here), "platform": "linux-64"}}))
elif words[0] == "config":
    print(json.dumps({{"get": {{"channel_priority": "strict"}}}}))
elif words[0] != "clean":
    assert words[:2] == ["env", "create"], words
    file, prefix = (pathlib.Path(words[words.index(name) + 1]) for name in ("--file", "--prefix"))
    (prefix / "bin").mkdir(parents=True)
    for name in ("python", "pip"):
        (prefix / "bin" / name).write_bytes((here / "bin" / "installer").read_bytes())
        (prefix / "bin" / name).chmod(0o755)
    needed = yaml.safe_load(file.read_text())["dependencies"]
    for packages in [part["pip"] for part in needed if isinstance(part, dict)]:
        # as conda does: pip reads a file of requirements, in the folder of the copied yaml file
        words = [word for line in packages for word in line.split()]
        subprocess.run([prefix / "bin" / "pip", "install", *words], cwd=file.parent, check=True)
'''
INSTALLER = """#!{python}
# Stands in for pip in the new environment: what a path names must be there, from the folder where it runs.
import json, pathlib, sys
words = sys.argv[1:]
for option, name in (("-c", ""), ("-e", "pyproject.toml")):
    given = words[words.index(option) + 1].removesuffix("[train]") if option in words else None
    place = pathlib.Path(given) / name if given else None
    if place and not place.is_file():
        sys.exit(f"Could not open requirements file: No such file: {{place}}")
with open(pathlib.Path(__file__).parents[1] / "installed", "a") as log:
    log.write(json.dumps(words) + chr(10))
(pathlib.Path(__file__).parent / "tagdistill").symlink_to("{tagdistill}")
"""


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """A folder with a stand-in for conda, for PATH."""
    tools = tmp_path / "conda" / "bin"
    tools.mkdir(parents=True)
    names = {"python": sys.executable, "tagdistill": Path(sys.executable).with_name("tagdistill")}
    for name, text in (("conda", CONDA), ("installer", INSTALLER)):
        (tools / name).write_text(text.format(**names), encoding="utf-8")
        (tools / name).chmod(stat.S_IRWXU)
    (tools / "activate").write_text('export PATH="$1/bin:$PATH"\n', encoding="utf-8")
    return tools


def test_sdm_conda_makes_an_environment_with_the_pins_and_the_project(tmp_path: Path, conda: Path):
    project = new_project(tmp_path / "project")
    for file in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / file, project.path / file)
    path = {"PATH": f"{conda}:{project.environment()['PATH']}"}
    corpus = "results/tiny/data/es/train.parquet"
    config = project.path / "config" / "tiny.yaml"
    done = project.snakemake(config, corpus, "--cores", "1", "--sdm", "conda", **path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert (project.path / corpus).is_file()
    (log,) = (project.path / ".snakemake" / "conda").glob("*/installed")
    words = json.loads(log.read_text(encoding="utf-8"))
    assert words[words.index("-c") + 1] == f"{project.path}/constraints.txt"
    assert words[words.index("-e") + 1] == f"{project.path}[train]"
    assert any(word.startswith("torch==") for word in words)


def test_a_mapping_on_the_command_line_replaces_that_of_the_config_file(fresh: Project):
    values = experiment() | {"languages": {"es": {"source": "demo"}}}
    assert "updates" in values["student"]
    replaced = json.dumps({**{k: v for k, v in values["student"].items() if k != "updates"}, "epochs": 1})
    jobs = fresh.plan(values, "students", "--config", f"student={replaced}")  # both would be refused
    assert jobs.count["train_student"] > 0


@pytest.mark.parametrize("length", [0, 150_000])
def test_a_licence_in_any_script_and_of_any_length_reaches_the_report_in_any_locale(length: int, copied: Project):
    """The command of a long one would be longer than the system allows, as at 170 languages with four splits."""
    licence = "© Müller, 署名 4.0; " + "x" * length
    values = experiment()
    values["languages"]["en"]["licence"] = licence
    done = copied.snakemake(copied.write(values), "--cores", "2", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stdout[-4000:]
    page = (copied.path / "results/tiny/report/index.html").read_text(encoding="utf-8")
    assert "© Müller, 署名 4.0; " in page
    arguments = [file.read_text(encoding="utf-8") for file in (copied.path / ".snakemake/arguments").iterdir()]
    assert [licence in argument for argument in arguments if '"licence"' in argument].count(True) == 1
    jobs = copied.plan(values)
    assert not jobs.jobs, jobs.text


def test_braces_in_a_path_are_read_as_they_are(tmp_path: Path):
    project = new_project(tmp_path / "project")
    folder = project.path / "data" / "{x} of {lang}"
    write_data(folder)
    values = experiment()
    values["languages"]["en"] |= {split: f"data/{folder.name}/{split}.conll" for split in ("train", "dev", "test")}
    values["languages"]["en"]["licence"] = "{x}"
    values["distill"]["objectives"] = ["baseline"]
    done = project.run(values, "results/tiny/data/en/report.json")
    assert done.returncode == 0, done.stdout[-4000:]
    assert project.plan(values).languages() >= {"en"}
