"""The benchmark scripts run at a tiny size, and their pages are made from the figures they wrote."""

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from tiny_runs import make_corpus
from tiny_taggers import saved_tagger

BENCH = Path(__file__).parents[2] / "bench"
MACHINE = {"processor": "a processor", "cores": 2, "load": 0.1, "system": "Linux", "python": "3.11", "torch": "2.6"}


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCH / name, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def figures_of(name: str, folder: Path, *options: str) -> Path:
    figures = folder / f"{name}.json"
    done = script(name, *options, "--json", figures)
    assert done.returncode == 0, done.stderr
    return figures


@pytest.mark.slow
def test_figures_and_page(tmp_path):
    kernels = figures_of("crf_peers.py", tmp_path, "--sizes", "3x5x12,32x30x9", "--ops", "nll,kbest", "--seconds", "0")
    student = figures_of("student_step.py", tmp_path, "--words=400", "--width=8", "--hidden=4", "--rounds=1")
    cache = figures_of("cache.py", tmp_path, "--words=2000", "--rounds=1")
    make_corpus(tmp_path / "data", "en", "test", 20)
    options = ("--student", saved_tagger(tmp_path), "--data", tmp_path / "data", "--rows")
    tagger = figures_of("tagger.py", tmp_path, *options, "graph, int8", "flair", "spaCy", "--rounds", "1")
    page = tmp_path / "page.md"
    files = {"--kernels": kernels, "--student": student, "--cache": cache, "--tagger": tagger}
    done = script("write_page.py", *chain.from_iterable(files.items()), page)
    assert done.returncode == 0, done.stderr
    text, run = page.read_text(), json.loads(kernels.read_text())

    rows = run["sizes"]["32x30x9"]
    assert {"tagdistill", "original"} <= rows["nll"].keys()
    assert all(row["error"] < 1e-6 for each in rows.values() for row in each.values() if row["ours"])
    assert all(f"Not measured: {name}" in text for name in run["missing"])
    ratio = rows["kbest"]["original"]["ms"] / rows["kbest"]["tagdistill"]["ms"]
    assert f"| {ratio:.1f} (≥ 1.2{'' if ratio >= 1.2 else ', missed'}), original |" in text

    speeds = json.loads(student.read_text())["rows"]
    assert {"student", "student, distilled", "softmax"} <= speeds.keys()
    assert f"| student | {speeds['student']['train']['words_per_second']:.0f} |" in text

    labelled = json.loads(tagger.read_text())
    assert labelled["rows"]["graph, int8"]["words_per_second"] > 0 and "score" in labelled["rows"]["graph, int8"]
    assert "| graph, int8 |" in text
    assert all(name in labelled["rows"] or f"Not measured: {name} (" in text for name in ("flair", "spaCy"))

    stored = json.loads(cache.read_text())
    assert stored["identical"] and 0 < stored["kl_mean"] < 1e-6
    assert f"| bytes a word | {stored['bytes_per_word']:.1f} (≤ 34" in text


def test_an_error_or_a_ratio_that_misses_its_target_is_marked(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    from kernel_page import faster, judged_error

    peer = {"ms": 9.0, "error": 1e-5, "ours": False, "torch": True, "failed": ""}
    mine = {"ms": 3.0, "error": 2e-6, "ours": True, "torch": True, "failed": ""}
    rows = {"tagdistill": mine, "peer": peer}
    assert faster("tagdistill", "nll", rows, "64x50x17") == "3.0 (≥ 3.5, missed), peer"
    assert faster("tagdistill", "posterior_kd", rows, "32x30x9") == "3.0 (≥ 2.5), peer"
    assert judged_error("tagdistill", "nll", rows) == "2e-06 (≤ 1e-06, missed)"
    wrong = {"tagdistill": mine, "peer": peer | {"error": 0.1}, "slow": peer | {"ms": 30.0}}
    assert faster("tagdistill", "nll", wrong, "32x30x9") == "10.0 (≥ 4), slow"


@pytest.mark.slow
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


def test_mutants_are_counted_by_package(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    from reliability import mutation_part

    verdicts = [("distill/a", "killed"), ("distill/a", "survived"), ("distill/b", "survived"), ("data/c", "timeout")]
    tried = [{"file": f"src/tagdistill/{file}.py", "verdict": verdict, "reason": ""} for file, verdict in verdicts]
    tried[1]["reason"] = "speed only"
    every = {"src/tagdistill/distill/a.py": 1000, "src/tagdistill/distill/b.py": 20, "src/tagdistill/data/c.py": 3}
    text = mutation_part({"mutants": every, "seed": 7, "tried": tried})
    assert "4 of 1,023 mutants were tried, drawn at random with seed 7." in text
    assert "equivalent): 66.7 %" in text
    assert (
        "| data | 3 | 1 | 0 | 1 | 0 | 0 |\n| distill | 1,020 | 3 | 1 | 0 | 1 | 1 |\n| all | 1,023 | 4 | 1 | 1 | 1 | 1 |"
        in text
    )


def test_the_page_of_starts_judges_each_stage_and_shows_what_was_before(tmp_path):
    stages = ("prepare", "encode", "train-teacher", "score", "targets", "train-student", "evaluate-model", "report")
    stages = (*stages, "report, whole")
    now = dict.fromkeys(stages, 1.25) | {"report": 1.75}
    found = {"rounds": 3, "torch_alone": 0.9, "seconds": {"now": now, "before": dict.fromkeys(stages, 2.5)}, **MACHINE}
    (tmp_path / "starts.json").write_text(json.dumps(found))
    done = script("starts.py", "--page-only", "--json", tmp_path / "starts.json", "--page", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    assert "| `train-student` | 1.25 (≤ 2.6) | 2.50 | 0.50 |" in page
    assert "| `report` | 1.75 (≤ 1.5, missed) | 2.50 | 0.70 |" in page
    assert "a processor, 2 cores" in page and "0.90 CPU seconds" in page


def test_the_page_of_a_small_run_says_where_it_goes(tmp_path):
    stages = {"train-student": [20, 60.0, 20], "prepare": [10, 5.0, 0], "report": [1, 2.0, 0]}
    runs = {
        "now": [{"cpu": 82.0, "wall": 40.0, "stages": stages}, {"cpu": 98.0, "wall": 44.0, "stages": stages}],
        "before": [{"cpu": 150.0, "wall": 90.0, "stages": stages}],
    }
    (tmp_path / "cost.json").write_text(json.dumps({"rounds": 2, "torch_alone": 0.5, "runs": runs, **MACHINE}))
    done = script("demo_cost.py", "--page-only", "--json", tmp_path / "cost.json", "--page", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    assert "| CPU seconds | 90 | 150 | 0.60 (≤ 0.55, missed) |" in page
    assert "| wall clock, s | 42 | 90 | 0.47 (≤ 0.55) |" in page
    assert "| `train-student` | 20 | 60 | 10 |" in page and "| `prepare` | 10 | 5 | 0 |" in page
    assert "| Snakemake itself |  | 15 |  |" in page and "20 of 31 jobs do." in page
    assert "Snakemake takes 0.48 CPU seconds for each of 31 jobs" in page


def test_the_process_that_jobs_are_forks_of_is_none_of_them(tmp_path):
    stages = {"train-student": [20, 60.0, 0], "fork-server": [1, 2.0, 1], "report": [1, 2.0, 0]}
    found = {
        "rounds": 1,
        "torch_alone": 2.0,
        "runs": {"now": [{"cpu": 74.5, "wall": 40.0, "stages": stages}]},
        **MACHINE,
    }
    (tmp_path / "cost.json").write_text(json.dumps(found))
    done = script("demo_cost.py", "--page-only", "--json", tmp_path / "cost.json", "--page", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    assert "0 of 21 jobs and `fork-server` do." in page and "for each of 21 jobs" in page
    assert "| `fork-server` |  | 2 | 2 |" in page and "| all | 21 | 74 | 2 |" in page


@pytest.mark.slow
def test_a_small_run_is_measured_from_nothing(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import demo_cost
    import starts

    monkeypatch.setattr(demo_cost, "EXPERIMENT", starts.EXPERIMENT)
    found = demo_cost.run(BENCH.parent / "src", tmp_path, 1)
    counted = {stage: (jobs, with_torch) for stage, (jobs, _, with_torch) in found["stages"].items()}
    assert (counted["prepare"], counted["report"], counted["fork-server"]) == ((4, 0), (1, 0), (1, 1))
    assert counted["train-student"] == (2, 0)  # it was imported before they were forked
    assert found["cpu"] > sum(seconds for _, seconds, _ in found["stages"].values()) > 0 < found["wall"]


def test_a_workflow_that_fails_says_why(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import starts

    with pytest.raises(SystemExit, match=r"no job today[\s\S]*failed; does it need other packages\?"):
        starts.run_workflow(tmp_path, BENCH.parent / "src", starts.EXPERIMENT, "#!/bin/sh\necho no job today; exit 1\n")


@pytest.mark.slow
def test_every_stage_runs_on_the_made_up_corpora_of_scaling(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import scaling

    found = scaling.stages(tmp_path, 100, scaling.LIMIT)
    assert {"train_teacher", "score", "export_targets", "evaluate_student", "predict"} < set(found)
    assert all(0 < each["memory"] < scaling.LIMIT / 1e6 and each["seconds"] > 0 for each in found.values())


def test_the_page_of_scaling_shows_growth_beyond_what_measurements_differ_by(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import scaling

    machine = {"processor": "a processor", "python": "3.11", "torch": "2.6"}
    runs = [
        {"score": {"seconds": 1.0 + n, "memory": 200.0 + n}, "predict": {"seconds": 2.0, "memory": 100.0 + 20 * n}}
        for n in range(3)
    ]
    again = {"score": {"seconds": 1.0, "memory": 204.0}, "predict": {"seconds": 2.0, "memory": 100.0}}
    found = {"sizes": [10_000, 20_000, 30_000], "limit": 3e9, "again": again, "runs": runs, "machine": machine}
    page = scaling.page(found)
    assert "| stage | 10,000 | 20,000 | 30,000 | MB more for 100,000 |" in page
    assert "| score | 200 | 201 | 202 | none |" in page and "differ by 4 MB" in page
    assert "| predict | 100 | 120 | 140 | 200.0 |" in page  # 20 MB for each 10,000 sentences
    assert "| score | 1.0 | 2.0 | 3.0 |" in page and "`score`\nread one language" in page and "3 GB of memory" in page
    runs[1]["score"]["memory"], runs[2]["score"]["memory"] = 250.0, 240.0  # known to 10 MB only: grows, all the same
    assert "| score | 200 | 250 | 240 | 2000.0 |" in scaling.page(found)
    runs[1]["score"]["memory"] = 290.0  # 50 MB more than a larger size takes, which takes 40 more than the smallest
    noisy = scaling.page(found)
    assert "| score | 200 | 290 | 240 | none |" in noisy and "| predict | 100 | 120 | 140 | 200.0 |" in noisy
    runs[1]["score"]["memory"], runs[2]["score"]["memory"] = 201.0, 202.0
    monkeypatch.setattr(scaling, "ONE", {"predict"})  # a tenth of the sentences: ten times the growth of each
    assert "| predict | 100 | 120 | 140 | 2000.0 |" in scaling.page(found)


def test_the_page_of_planning_says_what_a_job_takes_in_our_functions_and_in_snakemake(tmp_path):
    machine = {
        "processor": "a processor",
        "cores": 2,
        "load": 0.1,
        "system": "Linux",
        "python": "3.11",
        "snakemake": "9",
    }
    sizes = {
        "100": {"jobs": 1000, "seconds": 4.0, "ours": 1.0, "mb": 200.0},
        "1000": {"jobs": 9000, "seconds": 24.0, "ours": 5.0, "mb": 1900.0},
    }
    (tmp_path / "planning.json").write_text(json.dumps({"sizes": sizes, "machine": machine}))
    done = script("planning.py", "--page-only", "--json", tmp_path / "planning.json", "--page", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    assert "| 100 | 1,000 | 4.0 | 1.0 | 200 |" in page
    assert "| 1,000 | 9,000 | 24.0 (≤ 20, missed) | 5.0 | 1900 (≤ 2000) |" in page
    assert (
        "takes 2.50 ms: 0.50 ms in functions" in page
        and "2.00 ms in Snakemake" in page
        and "1.5 s, is the start" in page
    )


@pytest.mark.slow
def test_three_hundred_languages_are_planned_in_half_a_minute(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import planning

    found = planning.measure(300)
    # 270 are trained: three corpora each, a report on them, features, a teacher, its scores, targets and evaluation.
    assert found["jobs"] == 270 * 9 + 30 * 3 + 7
    assert found["seconds"] < 30 and found["mb"] < 1000 and 0 < found["ours"] < found["seconds"]
