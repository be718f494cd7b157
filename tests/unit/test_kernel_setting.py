"""The setting `kernel:`, from a job to what is recorded with its results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import files_of, make_corpus, teacher_run, with_targets
from typer.testing import CliRunner

from tagdistill.artifacts.files import read_json
from tagdistill.cli import main as cli
from tagdistill.cli import options
from tagdistill.crf import KernelError, kernel, use_kernel
from tagdistill.crf.kernels.cpp.build import find_compiler
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.distill.target_table import read_targets
from tagdistill.evaluation.evaluate import evaluate_model
from tagdistill.training import resume
from tagdistill.training.resume import fingerprint_of, kernel_modules
from tagdistill.training.run import Run
from tagdistill.training.run_training import run_training


@pytest.fixture(scope="module", autouse=True)
def _compiler() -> None:
    try:
        find_compiler()
    except KernelError as error:
        pytest.skip(f"the compiled kernel is not tested: {error.what}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> CorpusFiles:
    return files_of(make_corpus(tmp_path_factory.mktemp("corpora"), "aa", "train", 30))


def trained(folder: Path, corpus: CorpusFiles) -> Run:
    run = teacher_run(folder, corpus, updates=6)
    run_training(run)
    return run


@pytest.mark.parametrize("name", ["torch", "compiled"])
def test_what_a_kernel_made_says_so(name: str, corpus: CorpusFiles, tmp_path: Path) -> None:
    with use_kernel(name):
        run = trained(tmp_path, corpus)
        taught = with_targets(run.outputs.model, corpus, tmp_path)
        folders = {"predictions": tmp_path / "p", "metrics": tmp_path / "m"}
        evaluate_model(run.outputs.model, "teachers/aa/crf/seed-0", [corpus], {"aa": "trained"}, **folders)
    assert taught.targets is not None
    assert read_json(run.outputs.summary)["kernel"] == name
    assert read_json(run.outputs.model / "config.json")["kernel"] == name
    assert read_targets(taught.targets).metadata["kernel"] == name
    assert read_json(tmp_path / "m" / "aa.json")["kernel"] == name


def test_a_checkpoint_of_another_kernel_is_of_another_run(corpus: CorpusFiles, tmp_path: Path) -> None:
    run = teacher_run(tmp_path, corpus)
    with use_kernel("compiled"):
        compiled = fingerprint_of(run)
    assert compiled != fingerprint_of(run)


def test_a_checkpoint_is_of_the_code_of_its_kernel(
    corpus: CorpusFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(resume, "code_key", lambda *modules: seen.append(modules) or "")
    fingerprint_of(teacher_run(tmp_path, corpus))
    with use_kernel("compiled"):
        fingerprint_of(teacher_run(tmp_path, corpus))
    for modules, name in zip(seen, ("torch", "compiled"), strict=True):
        assert set(kernel_modules(name)) <= set(modules)
    assert set(seen[0]) < set(seen[1])


def test_the_command_takes_the_kernel_it_is_told(corpus: CorpusFiles, tmp_path: Path) -> None:
    taught = with_targets(trained(tmp_path, corpus).outputs.model, corpus, tmp_path)
    arguments = ["targets", "--scores", str(taught.scores), "--k", "4", "--out", str(tmp_path / "out.parquet")]
    done = CliRunner().invoke(cli.app, [*arguments, "--kernel", "compiled"])
    assert done.exit_code == 0, done.output
    assert read_targets(tmp_path / "out.parquet").metadata["kernel"] == "compiled"
    assert kernel() == "torch"
    refused = CliRunner().invoke(cli.app, [*arguments, "--kernel", "fast"])
    assert isinstance(refused.exception, KernelError) and "Known: compiled, torch" in str(refused.exception)


def test_on_a_gpu_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with options.use_kernel("compiled", "cuda"):
        assert kernel() == "torch"


def test_kernel_build_prints_where_it_is() -> None:
    done = CliRunner().invoke(cli.app, ["kernel", "build"])
    assert done.exit_code == 0 and Path(done.output.strip()).is_file()


def test_a_missing_compiler_ends_in_one_message_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tagdistill", "kernel", "build"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CXX": "no-such-compiler"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: kernel: the compiled kernel needs a C++ compiler")
    assert "apt install g++" in done.stderr and "Traceback" not in done.stderr
