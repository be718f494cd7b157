"""A stage that runs no transformer imports none: neither transformers nor torch's parts that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project, experiment

from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.plan import Plan

RUNNER = """
import json, sys
from tagdistill.cli import main as cli
sys.argv = ["tagdistill", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
MODELS = {"transformers", "tokenizers", "accelerate", "huggingface_hub", "torchvision", "safetensors"}
CORPUS = "results/tiny/data/en/test.parquet"
HEAVY = MODELS | {"torch", "altair", "snakemake"}  # pyarrow imports pandas on its own where it is installed


def imported(project: Project, *arguments: str) -> set[str]:
    """Run a command of tagdistill and return the packages it imported."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *arguments],
        cwd=project.path,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def jobs() -> Plan:
    return Plan(check_experiment(experiment(), "study.yaml"), Path())


def test_prepare(finished: Project, jobs: Plan, tmp_path: Path):
    file = "data/en/test.conll"
    arguments = ("--job", jobs.specs.prepare("en", "test"), "--source", file, "--path", file)
    found = imported(finished, "prepare", *arguments, "--out", str(tmp_path / "test.parquet"))
    assert not HEAVY & found
    assert (tmp_path / "test.parquet").read_bytes() == (finished.path / CORPUS).read_bytes()


def test_data_report(finished: Project, tmp_path: Path):
    found = imported(finished, "data-report", CORPUS, "--out", str(tmp_path / "report.json"))
    assert not HEAVY & found


def test_targets(finished: Project, tmp_path: Path):
    scores = "results/tiny/teachers/en/crf/seed-0/scores/train.parquet"
    found = imported(finished, "targets", "--scores", scores, "--k", "4", "--out", str(tmp_path / "train.parquet"))
    assert "torch" in found  # it computes posteriors, and so shows that the check sees what is imported
    assert not (MODELS | {"altair", "snakemake"}) & found
    assert (tmp_path / "train.parquet").read_bytes() == (
        finished.path / "results/tiny/targets/en/crf/train.parquet"
    ).read_bytes()


def test_fetch(finished: Project, tmp_path: Path):
    # A treebank file that is there already with its checksum is not downloaded: the stage runs without a network.
    from tagdistill.artifacts.files import sha256_file

    out = tmp_path / "ud/Swedish-Talbanken/r2.15/train.conllu"
    out.parent.mkdir(parents=True)
    out.write_text("1\tHej\thej\tINTJ\t_\t_\t0\troot\t_\t_\n\n", encoding="utf-8")
    values = experiment()
    swedish = {"source": "ud", "format": "conllu", "treebank": "Swedish-Talbanken", "release": "r2.15"}
    values["languages"]["sv"] = swedish | {"sha256": {"train": sha256_file(out)}}
    job = Plan(check_experiment(values, "study.yaml"), Path()).download("ud/Swedish-Talbanken/r2.15/train.conllu")
    assert not HEAVY & imported(finished, "fetch", "--job", job, "--data", str(tmp_path))


def test_the_plan_itself(finished: Project):
    code = (
        "import sys, json, tagdistill.experiment.plan; "
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=finished.environment(), capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(json.loads(done.stdout))


def test_help(finished: Project):
    assert not (HEAVY | {"pandas", "pydantic", "pyarrow", "numpy"}) & imported(finished, "--help")
