"""Run every stage on made-up corpora of several sizes under a hard limit of memory, and write docs/scaling.md.

Run from the repository's folder: `python bench/scaling.py --out docs/scaling.md`. Each size is ten languages with a
tenth of the sentences each. A stage that ends soon is run twice, and the smaller of the two figures counts; the
smallest size is run once more, to see what measurements differ by.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from made_up import DIM, ENCODER, LABELS, LANGUAGES, WORDS, copy_for, write_corpora, write_features, write_raw
from markdown import table

from tagdistill.experiment.jobs import EvaluateJob, StudentJob, TeacherJob, write_job

ROOT = Path(__file__).parents[1]
LIMIT = 3_000_000_000  # bytes of anonymous memory
MODEL = {"head": "bilstm", "hidden": 16, "updates": 50, "batch_words": 1000}
COMMON = {"task": "ner", "labels": LABELS, "decoder": "crf", "encoder": ENCODER, "seed": 0}
ONE = {"data_report", "train_teacher", "score", "export_targets"}  # stages of one language
SAMPLED = 0.01  # seconds between two looks at a job's memory
SOON = 60  # CPU seconds of a stage that is run twice
READ = 100_000  # sentences: growth is given for so many, as stages of one language read no more than a million's tenth


def run(name: str, command: list[str], folder: Path, limit: int) -> dict[str, Any]:
    """Run a command of tagdistill under a limit: its CPU seconds and the most anonymous memory, in MB."""
    began = time.monotonic()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tagdistill", *command],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )
        most, ended, usage = 0, 0, None
        while not ended:
            most = max(most, anonymous(process.pid))
            time.sleep(SAMPLED)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed:\n" + (folder / "log.txt").read_text()[-4000:])
    seconds = usage.ru_utime + usage.ru_stime
    print(f"{name}: {seconds:.1f} CPU s, {most / 1e6:.0f} MB, {time.monotonic() - began:.0f} s", flush=True)
    return {"seconds": seconds, "memory": most / 1e6}


def anonymous(process: int) -> int:
    """Return the bytes of a process's memory that are no pages of files."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")), 0)


def least(name: str, command: list[str], folder: Path, limit: int) -> dict[str, Any]:
    """Run a command, and again if it ends soon: the smaller figures of the two."""
    first = run(name, command, folder, limit)
    if first["seconds"] > SOON:
        return first
    if "--summary" in command:  # a training whose outputs are there has ended
        Path(command[command.index("--summary") + 1]).unlink()
    second = run(name, command, folder, limit)
    return {key: min(first[key], second[key]) for key in first}


def stages(folder: Path, sentences: int, limit: int) -> dict[str, dict[str, Any]]:
    """Make a project and run its stages."""
    found = {}

    def stage(name: str, *command: str | Path) -> None:
        found[name] = least(name, list(map(str, command)), folder, limit)

    corpora = {language: folder / "data" / language for language in LANGUAGES}
    first = corpora[LANGUAGES[0]]
    write_corpora(folder / "data", sentences // len(LANGUAGES))
    write_features(first / "train.parquet", folder / "features.safetensors")
    stage("data_report", "data-report", first / "train.parquet", first / "test.parquet", "--out", "report.json")
    teacher = folder / "teacher"
    files = {"train": [str(first / "train.parquet")], "train_features": ["features.safetensors"]}
    job = TeacherJob(languages=LANGUAGES[:1], settings=MODEL, **COMMON)
    stage("train_teacher", "train-teacher", *training(job, files, teacher))
    made = {kind: folder / f"{LANGUAGES[0]}.{kind}.parquet" for kind in ("scores", "targets")}
    text = ("--corpus", first / "train.parquet", "--features", "features.safetensors")
    stage("score", "score", "--model", teacher / "model", *text, "--out", made["scores"], "--device", "cpu")
    stage("export_targets", "targets", "--scores", made["scores"], "--out", made["targets"])
    for language in LANGUAGES[1:]:
        for kind, path in made.items():
            copy_for(language, path, folder / f"{language}.{kind}.parquet", kind)
    files = {"train": [str(path / "train.parquet") for path in corpora.values()]}
    files["train_features"] = ["features.safetensors"] * len(LANGUAGES)
    files |= {f"train_{kind}": [f"{language}.{kind}.parquet" for language in LANGUAGES] for kind in made}
    for objective in ("posterior", "structural"):
        job = student_job(objective)
        stage(f"train_student, {objective}", "train-student", *training(job, files, folder / objective))
    tests = {"test": [str(path / "test.parquet") for path in corpora.values()]}
    tests["test_features"] = files["train_features"]
    job = EvaluateJob(model="students/posterior/seed-0", languages=LANGUAGES)
    where = ("--model", "posterior/model", "--predictions", "predictions", "--metrics", "metrics", "--device", "cpu")
    stage("evaluate_student", "evaluate-model", "--job", write_job(job), "--files", json.dumps(tests), *where)
    for path in folder.glob("*.parquet"):
        path.unlink()
    found["predict"] = predict(folder, sentences, limit)
    return found


def student_job(objective: str) -> StudentJob:
    return StudentJob(
        languages=LANGUAGES, objective=objective, distill={"objectives": [objective]}, settings=MODEL, **COMMON
    )


def training(job: TeacherJob | StudentJob, files: dict[str, list[str]], folder: Path) -> list[str | Path]:
    """Return the arguments of a training whose outputs go into a folder."""
    outputs = {"model": "model", "log": "metrics.jsonl", "summary": "training.json", "checkpoints": "checkpoints"}
    chosen = [part for name, path in outputs.items() for part in (f"--{name}", folder / path)]
    return ["--job", write_job(job), "--files", json.dumps(files), *chosen, "--device", "cpu"]


def predict(folder: Path, sentences: int, limit: int) -> dict[str, Any]:
    """Label raw text with a student of an encoder that is really there, trained on a few sentences."""
    small = folder / "small"
    encoder = {"encoder": ENCODER.model_dump(mode="json", exclude={"vectors"})}
    write_corpora(small, 20)
    corpus, features, weights = small / LANGUAGES[0] / "train.parquet", small / "train.safetensors", small / "encoder"
    files = {"corpora": [str(corpus)]}
    given = json.dumps(encoder)
    run("convert_encoder", ["convert-encoder", "--job", given, "--out", str(weights)], folder, limit)
    command = ["encode", "--job", given, "--files", json.dumps(files), "--encoder", str(weights), "--out", str(small)]
    run("encode", command, folder, limit)
    job = StudentJob(
        languages=LANGUAGES[:1], objective="baseline", distill={"objectives": ["baseline"]},
        settings={**MODEL, "updates": 2}, **COMMON,
    )  # fmt: skip
    files = {"train": [str(corpus)], "train_features": [str(features)]}
    run("train_student", ["train-student", *map(str, training(job, files, small / "student"))], folder, limit)
    write_raw(folder / "raw.txt", sentences)
    command = ["predict", "--model", "small/student/model", "--encoder", "small/encoder", "--threads", "1"]
    return run("predict", [*command, "raw.txt", "--output", "labels.conll"], folder, limit)


def measure(sizes: list[int], limit: int, work: Path | None, out: Path) -> None:
    """Run all sizes, and write what is known after each."""
    found: list[dict[str, Any]] = []
    for size in [sizes[0], *sizes]:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            print(f"-- {size} sentences", flush=True)
            found.append(stages(Path(folder), size, limit))
        known = {"sizes": sizes[: len(found) - 1], "limit": limit, "again": found[0], "runs": found[1:]}
        out.write_text(json.dumps({**known, "machine": machine()}, indent=1), encoding="utf-8")


# -- the page


HEAD = """\
# Memory and time as a corpus grows

<!-- Written by `python bench/scaling.py`; do not edit. -->

`python bench/scaling.py` makes up corpora of {languages} languages with sentences of {words} words, {labels} labels,
vectors of {dim} numbers for each word, and runs each stage on them, one thread a job, **under a hard limit of
{limit:.0f} GB of memory** (`RLIMIT_DATA`, which mapped files do not count to): all of them ended.
Machine: {processor}, Python {python}, torch {torch}.

Sizes are those of all languages together; {one}
read one language, a tenth of it. The trainings make {updates} updates, whatever the size; `predict` reads raw text with
a small encoder.
"""

MEMORY = """
## Memory

The most anonymous memory of a job, in MB, seen every {sampled:.0f} ms, the smaller of two runs where a stage takes less
than {soon} s (of `predict`: one), and the growth that a straight line through the sizes has, in MB for each {read:,}
sentences that the stage reads. Two measurements of the smallest size differ by {noise:.0f} MB at most. "none" stands
where the largest size takes no more than that beyond the smallest, or than a smaller size takes beyond a larger one.

"""

TIME = """
## Time

CPU seconds of a job, of one core, of the quicker run where there are two.

"""

ADVICE = """
## What grows

- **Memory** holds batches, a row group of a table, and for each sentence its length and its place: nothing for each
  word but its label, one byte. Features, scores, targets and what is made of them are mapped from files, of which the
  system keeps as much in memory as there is room for. A job that has little memory reads them again.
- **Temporary files**: trainings with teachers, `score`, `targets` and `evaluate` put large arrays into files without a
  name beside their output, as large as what they read, unpacked. The system gives the space back when the job ends,
  however it ends.
- **Features are the disk**: float16 vectors of every word. They are caches: `tagdistill clean` removes those that no
  config uses. With `mode: finetune` they are the states of every piece, a half more or twice as much, mapped like them;
  `tune_from: 0` needs none.
- **Languages are independent up to the student**: all but `train_student`, `evaluate_student` and `report` are jobs of
  one language, so a hundred languages take as many machines as there are. Jobs of a few seconds (`prepare`,
  `data_report`) are mostly start-up, and on a cluster queueing.
- **Targets**: a smaller `k` makes them smaller; `structural`, `emission` and `scores` read scores and no targets.
- **Evaluation**: above 20 languages every teacher is scored on its own language alone (`evaluate: {teachers: auto}`);
  `all` would be the square of their number of test sets.
- **Preparing** a file holds all of its sentences, a pointer for each word, and a training of a fine-tuned encoder the
  pieces' numbers, 8 bytes each.
"""


def page(found: dict[str, Any]) -> str:
    sizes, runs, again = found["sizes"], found["runs"], found["again"]
    noise = max(abs(run["memory"] - runs[0][name]["memory"]) for name, run in again.items())
    text = HEAD.format(
        languages=len(LANGUAGES), words=WORDS, labels=len(LABELS), dim=DIM, limit=found["limit"] / 1e9,
        one=", ".join(f"`{name}`" for name in runs[0] if name in ONE), updates=MODEL["updates"], **found["machine"],
    )  # fmt: skip
    shown = [f"{size:,}" for size in sizes]
    text += MEMORY.format(sampled=1000 * SAMPLED, soon=SOON, read=READ, noise=noise)
    rows = [
        [name, *(f"{each[name]['memory']:.0f}" for each in runs), growth(name, sizes, runs, noise)] for name in runs[0]
    ]
    text += table(["stage", *shown, f"MB more for {READ:,}"], rows)
    text += TIME
    text += table(["stage", *shown], [[name, *(f"{each[name]['seconds']:.1f}" for each in runs)] for name in runs[0]])
    return text + ADVICE


def growth(name: str, sizes: list[int], runs: list[dict[str, Any]], noise: float) -> str:
    """Return the slope of a stage's memory over the sentences that it reads; none where it is within the noise."""
    if len(sizes) == 1:
        return "not measured"
    memory = [each[name]["memory"] for each in runs]
    less = (small - large for small, large in pairwise(memory))  # what a larger size takes less says nothing either
    if memory[-1] - memory[0] <= max(noise, *less):
        return "none"
    read = np.array(sizes) / (len(LANGUAGES) if name in ONE else 1)
    return f"{np.polyfit(read / READ, memory, 1)[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    parser.add_argument("--limit", type=int, default=LIMIT, metavar="BYTES", help="of each job's anonymous memory")
    parser.add_argument("--work", type=Path, help="where the files go: about 10 GB for a million sentences")
    parser.add_argument("--json", type=Path, default=Path("build/scaling.json"), help="where the measurements go")
    parser.add_argument("--out", type=Path, default=Path("docs/scaling.md"))
    parser.add_argument("--page-only", action="store_true", help="write the page from the measurements that are there")
    options = parser.parse_args()
    if not options.page_only:
        for folder in filter(None, (options.json.parent, options.work)):
            folder.mkdir(parents=True, exist_ok=True)
        measure(options.sizes, options.limit, options.work, options.json)
    options.out.write_text(page(json.loads(options.json.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
