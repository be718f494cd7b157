"""The container file: no engine is needed to see that its commands work, in an environment of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from test_service_process import ask
from tiny_taggers import exported

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
KEPT = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]


def after(instruction: str) -> list[str]:
    """Return the arguments of an instruction, as often as it is there."""
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} ")]


def test_it_runs_as_nobody_without_torch_and_is_told_to_stop():
    assert after("USER") == ["65534:65534"] and after("STOPSIGNAL") == ["SIGTERM"]
    assert "[serve]" in after("RUN")[1] and "[train" not in after("RUN")[1]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert not [name for name in extras["serve"] if "torch" in name or "tagdistill" in name]
    assert all((ROOT / name).exists() for name in KEPT)


@pytest.mark.slow
def test_its_commands_work(tmp_path):
    source, place = tmp_path / "source", tmp_path / "venv"
    source.mkdir()
    for name in KEPT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, source / name)
    venv.create(place, with_pip=True)
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}
    (tmp_path / "wheels").mkdir()
    shutil.copyfile(ROOT / "constraints.txt", tmp_path / "wheels" / "constraints.txt")
    for command in after("RUN"):  # as root there, in an environment of its own here
        shell = command.replace("/wheels", str(tmp_path / "wheels")).replace("--no-cache-dir ", "")
        done = subprocess.run(
            shell, shell=True, cwd=source, env=environment, capture_output=True, text=True, check=False
        )
        if re.search("No matching distribution|Could not find a version", done.stderr):
            pytest.skip("no package index here: the image's packages cannot be installed")
        assert done.returncode == 0, done.stderr
    assert not list(place.rglob("site-packages/torch"))
    start = [*json.loads(after("ENTRYPOINT")[0]), str(exported(tmp_path / "student"))]
    start = ["127.0.0.1" if word == "0.0.0.0" else "0" if word == "8000" else word for word in start]
    variables = dict(pair.split("=") for pair in shlex.split(after("ENV")[0]))
    process = subprocess.Popen(start, env=environment | variables, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        line = process.stderr.readline()
        assert "serving on" in line, line + process.stderr.read()
        port = int(line.rpartition(":")[2])
        assert ask(port, "Ada in Paris.") == 200
        check = json.loads(re.search(r"CMD (\[.*\])", after("HEALTHCHECK")[0])[1])
        healthy = [sys.executable, *(word.replace("8000", str(port)) for word in check[1:])]
        assert subprocess.run(healthy, env=environment, check=False).returncode == 0
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
    assert subprocess.run(healthy, env=environment, capture_output=True, check=False).returncode != 0
