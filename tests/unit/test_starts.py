"""What the job of each stage imports: nothing that it does not use, since most jobs are short."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_results import build, settings
from tiny_runs import (
    LABELS,
    TINY,
    files_of,
    make_corpus,
    student_run,
    teacher_run,
    tiny_encoder,
    train_command,
    with_targets,
)

from tagdistill.distill.dataset import CorpusFiles
from tagdistill.experiment import stage_modules
from tagdistill.experiment.jobs import EncodeJob, EvaluateJob, PrepareJob, StudentJob, write_job
from tagdistill.settings.language import Language
from tagdistill.training.run import Run
from tagdistill.training.run_training import run_training

pytestmark = pytest.mark.slow
WATCHED = (
    *("torch", "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "transformers", "tokenizers"),
    *("accelerate", "huggingface_hub", "datasets", "onnx", "onnxruntime", "pandas", "scipy", "sklearn", "sympy"),
    *("networkx", "matplotlib", "altair", "vl_convert", "jinja2", "snakemake", "pooch", "requests", "pyarrow"),
)
CODE = """
import importlib, json, sys
watched, module, *sys.argv[1:] = sys.argv[1:]
def imported():
    return [name for name in watched.split() if name in sys.modules]
importlib.import_module(module)
found = [imported()]
from tagdistill.cli import main as cli
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, stop.code
print(json.dumps([*found, imported()]))
"""
# Stage: its module, what that imports, and what a run of its command imports beside.
REPORT = {"altair", "jinja2", "pandas", "pyarrow", "scipy"}
STAGES = {
    "prepare": (stage_modules.PREPARE, {"pyarrow"}, {"pandas"}),
    "data-report": (stage_modules.DATA_REPORT, {"pyarrow"}, set()),
    "encode": (stage_modules.ENCODE, set(), {"torch", "tokenizers", "pyarrow"}),
    "train-teacher": (stage_modules.TRAIN, {"torch", "pyarrow"}, set()),
    "train-teacher, fine-tuned": (stage_modules.TRAIN, {"torch", "pyarrow"}, {"tokenizers"}),
    "train-student": (stage_modules.TRAIN, {"torch", "pyarrow"}, set()),
    "score": (stage_modules.SCORE, {"torch", "pyarrow"}, set()),
    "targets": (stage_modules.TARGETS, {"torch", "pyarrow"}, set()),
    "evaluate-model": (stage_modules.EVALUATE, {"torch", "pyarrow"}, set()),
    "report": (stage_modules.REPORT, REPORT, {"vl_convert"}),
}


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("starts")
    encoder = tiny_encoder(folder)
    train, test = (files_of(make_corpus(folder, "aa", split, 12)) for split in ("train", "test"))
    teacher = teacher_run(folder / "teacher", train, train, updates=2)
    run_training(teacher)
    model, scored = teacher.outputs.model, with_targets(teacher.outputs.model, train, folder)
    text = CorpusFiles("aa", train.corpus)
    tuned = {"mode": "finetune", "head": "linear", "tune_from": 1, "updates": 2, "encoder_folder": encoder}
    results, benchmarks = build(folder / "toy")
    (folder / "toy.json").write_text(settings().model_dump_json(), encoding="utf-8")
    evaluated = EvaluateJob(model="teachers/aa/crf/seed-0", languages=("aa",))
    prepared = PrepareJob(
        language="en", split="test", settings=Language(source="demo"), task="ner", labels=("PER", "LOC", "ORG"), limit=9
    )
    data = {"scores": folder / "scores.parquet", "targets": folder / "targets.parquet"}
    return {
        "prepare": ["prepare", "--job", write_job(prepared), "--out", f"{folder}/prepared.parquet"],
        "data-report": ["data-report", str(test.corpus), "--out", f"{folder}/report.json"],
        "encode": [
            *("encode", "--job", write_job(EncodeJob(encoder=TINY)), "--encoder", str(encoder), "--device", "cpu"),
            *("--files", json.dumps({"corpora": [str(test.corpus)]}), "--out", str(folder)),
        ],
        "train-teacher": train_command(teacher_run(folder / "frozen", train, train, updates=2)),
        "train-teacher, fine-tuned": train_command(teacher_run(folder / "tuned", text, text, **tuned)),
        "train-student": student_command(student_run(folder / "student", [scored], updates=2)),
        "score": [
            *("score", "--model", str(model), "--corpus", str(train.corpus), "--features", str(train.features)),
            *("--out", str(data["scores"]), "--device", "cpu"),
        ],
        "targets": ["targets", "--scores", str(scored.scores), "--out", str(data["targets"]), "--k", "2"],
        "evaluate-model": [
            *("evaluate-model", "--job", write_job(evaluated), "--model", str(model), "--device", "cpu"),
            *("--files", json.dumps({"test": [str(test.corpus)], "test_features": [str(test.features)]})),
            *("--predictions", f"{folder}/predictions", "--metrics", f"{folder}/metrics"),
        ],
        "report": [
            *("report", "--config", f"@{folder}/toy.json", "--results", str(results)),
            *("--benchmarks", str(benchmarks)),
        ],
    }


def student_command(run: Run) -> list[str]:
    """Return the arguments of tagdistill that train a student of one language."""
    assert run.distill is not None and run.objective is not None
    job = StudentJob(
        languages=("aa",),
        task=run.task,
        labels=LABELS,
        decoder=run.decoder,
        objective=run.objective,
        settings=run.settings,
        distill=run.distill,
        encoder=run.encoder,
        seed=0,
    )
    (files,) = run.train
    lists = {"train": files.corpus, "train_features": files.features, "train_targets": files.targets}
    command = ["train-student", "--job", write_job(job), "--device", "cpu"]
    command += ["--files", json.dumps({name: [str(path)] for name, path in lists.items()})]
    for name in ("model", "log", "summary", "checkpoints"):
        command += [f"--{name}", str(getattr(run.outputs, name))]
    return command


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_what_it_uses_and_nothing_else(stage: str, commands: dict[str, list[str]], tmp_path: Path):
    module, first, beside = STAGES[stage]
    done = subprocess.run(
        [sys.executable, "-c", CODE, " ".join(WATCHED), module, *commands[stage]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported, then = map(set, json.loads(done.stdout.splitlines()[-1]))
    assert imported == first
    assert then - imported == beside
