"""The benchmark scripts run at a tiny size, and their pages are made from the figures they wrote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCH / name, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def test_gpu_figures_and_page(tmp_path):
    figures, page, again = tmp_path / "gpu.json", tmp_path / "gpu.md", tmp_path / "again.md"
    options = ("--device", "cpu", "--sizes", "3x5x12", "--seconds", "0")
    done = script("gpu.py", *options, "--json", figures, "--page", page)
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_text())["sizes"]["3x5x12"]
    assert set(rows) == {"nll", "marginals", "posterior_kd", "viterbi", "kbest"}
    assert all(operation["tagdistill"]["error"] < 1e-5 for operation in rows.values())
    assert "original" in rows["kbest"]
    done = script("gpu.py", "--from", figures, "--page", again)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == again.read_text()
    assert f"| {rows['nll']['tagdistill']['ms']:.3f} |" in page.read_text()


def test_without_a_gpu_the_gpu_benchmark_says_so():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = script("gpu.py")
    assert done.returncode != 0 and "no CUDA device" in done.stderr and "Traceback" not in done.stderr


def test_the_original_k_best_is_right_where_all_sentences_are_equally_long(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    from crf_peers import error
    from crf_problem import Problem, Reference
    from original import Original

    even, mixed = (Problem(4, 6, 9, seed=5, lengths=n) for n in ([6, 6, 6, 6], [6, 5, 4, 3]))
    assert error("kbest", Original(even).kbest(5), Reference(even)) < 1e-6
    assert error("kbest", Original(mixed).kbest(5), Reference(mixed)) > 1e-3
