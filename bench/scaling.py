"""Measure every stage at two sizes and write docs/scaling.md: what a hundred languages would take.

Run from the repository's folder: `python bench/scaling.py --out docs/scaling.md`. CPU time counts, so that other work
on the machine does not; the difference of the two sizes is the rate, what is left is the start-up of a job.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from tagdistill.artifacts.files import folder_size
from tagdistill.data import demo
from tagdistill.formatting import duration

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "config", "envs", "profiles")
UPDATES, BATCH, MORE = 30, 1000, 90  # MORE: updates of a second training, for the rate of one update
PASSES = {"train_teacher": 20, "train_student": 3}  # of the plan: over the training text
LANGUAGES, SENTENCES, WORDS = 100, 10_000, 20  # of the plan: languages, sentences of each, words of a sentence
STAGES = (
    *("prepare", "data_report", "encode", "train_teacher", "score", "export_targets", "train_student"),
    *("evaluate_student", "evaluate_teacher"),
)
OUTPUTS = {
    "prepare": "data/*/train.parquet",
    "encode": "features/*/*/train.safetensors",
    "score": "teachers/*/crf/seed-0/scores/train.parquet",
    "export_targets": "targets/*/crf/train.parquet",
}


@dataclass(frozen=True)
class Stage:
    """A stage's CPU seconds and peak memory: of a job, and of each thousand sentences."""

    name: str
    start: float
    each: float
    memory: float  # MB at the larger size
    memory_each: float  # MB a thousand sentences
    bytes_per_word: float | None


def corpus(sentences: int) -> Iterator[str]:
    """Yield CoNLL sentences: the demo's, again and again, numbered so that none repeats."""
    pairs = cycle(list(demo.sentences("en", "train")))
    for number, (tokens, labels) in enumerate(islice(pairs, sentences)):
        yield "".join(f"{t} {x}\n" for t, x in zip([*tokens, str(number)], [*labels, "O"], strict=True)) + "\n"


def config(name: str, provider: str, updates: int = UPDATES) -> dict[str, Any]:
    files = {split: f"data/{name}/{split}.conll" for split in ("train", "test")}
    return {
        "name": name,
        "task": "ner",
        "labels": ["PER", "LOC", "ORG"],
        "languages": {"en": {"format": "conll", "scheme": "BIOES", **files}},
        "encoder": {"provider": provider, "tap": 6 if provider == "wheel" else 2},
        "teacher": {"head": "bilstm", "hidden": 128, "updates": updates, "batch_words": BATCH},
        "student": {"head": "bilstm", "hidden": 128, "updates": UPDATES, "batch_words": BATCH},
        "distill": {"objectives": ["posterior"], "k": 10},
        "device": "cpu",
    }


def run(project: Path, sentences: int, provider: str) -> dict[str, tuple[float, int, float, float | None]]:
    """Run the workflow on so many sentences: CPU seconds, jobs, most MB of a job and bytes a word of each stage."""
    name = f"n{sentences}"
    (project / "data" / name).mkdir(parents=True)
    for split, many in (("train", sentences), ("test", 50)):
        (project / "data" / name / f"{split}.conll").write_text("".join(corpus(many)), encoding="utf-8")
    (project / f"{name}.yaml").write_text(yaml.safe_dump(config(name, provider)), encoding="utf-8")
    words = sum(line.strip() != "" for line in (project / "data" / name / "train.conll").open(encoding="utf-8"))
    chosen = ("--cores", "1", "--configfile", f"{name}.yaml")
    nothing = snakemake(project, *chosen, "--until", "convert_encoder", "--dry-run")
    snakemake(project, *chosen, "--until", "convert_encoder")
    found = {}
    for stage in STAGES:
        seconds = max(0.0, snakemake(project, *chosen, "--until", stage) - nothing)
        memory = [float(row["max_rss"]) for row in benchmarks(project / "benchmarks" / name / stage)]
        made = (project / "results" / name).glob(OUTPUTS.get(stage, "none"))
        size = sum(map(folder_size, made)) / words if stage in OUTPUTS else None
        found[stage] = (seconds, len(memory), max(memory), size)
    return found


def benchmarks(folder: Path) -> list[dict[str, str]]:
    rows = []
    for path in folder.rglob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows.append(list(csv.DictReader(file, delimiter="\t"))[-1])
    return rows


def snakemake(project: Path, *arguments: str) -> float:
    """Run Snakemake and return its CPU seconds, those of its jobs included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snakemake", *arguments, "--quiet", "all"]
    subprocess.run(command, cwd=project, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(sizes: tuple[int, int], provider: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for part in PARTS:
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, project / part)
        small, large = (run(project, size, provider) for size in sizes)
        stages = [stage(name, small[name], large[name], sizes) for name in large if name in small]
        rate = words_per_second(project, sizes[0], small["train_teacher"][0], provider)
        values = config("many", "tiny")
        values["languages"] = {f"l{n:03d}": {"source": "demo", "code": "es"} for n in range(LANGUAGES)}
        (project / "many.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        seconds = snakemake(project, "--dry-run", "--configfile", "many.yaml")
    return {"stages": [vars(s) for s in stages], "dry_run": seconds, "words_per_second": rate}


def words_per_second(project: Path, sentences: int, seconds: float, provider: str) -> float:
    """Return the words that a training takes in a CPU second: that of more updates, less what fewer took."""
    values = config(f"n{sentences}", provider, updates=UPDATES + MORE)
    (project / "more.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    chosen = ("--cores", "1", "--configfile", "more.yaml", "--until", "train_teacher")
    nothing = snakemake(project, *chosen, "--dry-run")
    return MORE * BATCH / (snakemake(project, *chosen) - nothing - seconds)


def stage(name: str, small: Any, large: Any, sizes: tuple[int, int]) -> Stage:
    thousands = (sizes[1] - sizes[0]) / 1000
    each = max(0.0, (large[0] - small[0]) / thousands)
    memory_each = max(0.0, (large[2] - small[2]) / thousands)
    start = max(0.0, small[0] - each * sizes[0] / 1000) / small[1]
    return Stage(name, start, each, large[2], memory_each, large[3])


# -- the page


HEAD = """\
# A hundred languages, a million sentences

<!-- Written by `python bench/scaling.py`; do not edit. -->

A plan on paper: {languages} languages with {sentences:,} training sentences of {words} words each, one CRF teacher a
language, one student, from rates measured on one machine. It was not run at that size.

## Rates

`python bench/scaling.py`, {machine}: the workflow at {small} and {large} sentences of one language, one thread a job,
the encoder of `provider: {provider}`. CPU seconds of one core and peak memory (as Snakemake samples it); "start" is
what a job takes before its first sentence, imports mostly. A sentence has {measured:.0f} words. What a thousand
sentences add to a quick stage is less than other work on the machine disturbs: 0.00 is "too little to see".

"""

PLAN = """
## The plan

Times are of one core, for the longer sentences of the plan; languages run side by side. Memory comes from samples a few
seconds apart: an order of magnitude, above all for the student.

"""

ADVICE = """\

Trainings cost what their updates cost: {updates} updates are in the start of the trainings above. A BiLSTM of 128 units
on frozen features takes {rate:,.0f} words in a CPU second; the plan has {teacher} passes over the text for a teacher
and {student} for the student. Memory and time beyond the measured sizes are extrapolated.

## What to watch, and what to shard

- **The plan itself**: Snakemake plans {languages} languages in {dry_run:.1f} CPU seconds; a test holds it below 10.
- **Features are the disk**: float16 vectors of every word. They are caches: `tagdistill clean` removes those that no
  config uses, and `mode: finetune` needs none (and a GPU instead).
- **Languages are independent up to the student**: all but `train_student`, `evaluate_student` and `report` are jobs of
  one language, so {languages} languages take as many machines as there are. Jobs of a few seconds (`prepare`,
  `data_report`) are mostly start-up, and on a cluster queueing.
- **The student is the one job that sees all languages**: its memory grows with all their words and targets. Where that
  is too much, `limit: {{train: N}}` caps every language, or fewer languages share a student.
- **Targets**: a smaller `k` makes them smaller; `structural`, `emission` and `scores` read scores and no targets.
- **Evaluation**: above 20 languages every teacher is scored on its own language alone (`evaluate: {{teachers: auto}}`);
  `all` would be {languages} x {languages} test sets.
"""


def page(found: dict[str, Any], sizes: tuple[int, int], provider: str) -> str:
    stages = [Stage(**values) for values in found["stages"]]
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    text = HEAD.format(
        languages=LANGUAGES,
        sentences=SENTENCES,
        words=WORDS,
        machine=machine,
        small=sizes[0],
        large=sizes[1],
        provider=provider,
        measured=measured_words(),
    )
    text += table(
        ["stage", "start, s", "s a 1,000 sentences", f"memory at {sizes[1]}, MB", "MB more a 1,000", "bytes a word"],
        [
            [
                s.name,
                f"{s.start:.1f}",
                f"{s.each:.2f}",
                f"{s.memory:.0f}",
                f"{s.memory_each:.1f}",
                number(s.bytes_per_word),
            ]
            for s in stages
        ],
    )
    text += PLAN
    text += table(
        ["stage", "jobs", "CPU time, all jobs", "memory of a job", "disk, all jobs"],
        [planned(s, found["words_per_second"]) for s in stages],
    )
    facts = {"rate": found["words_per_second"] or 0, "dry_run": found["dry_run"], "updates": UPDATES}
    facts |= {name.removeprefix("train_"): passes for name, passes in PASSES.items()}
    return text + ADVICE.format(languages=LANGUAGES, **facts)


def planned(stage: Stage, rate: float) -> list[str]:
    """Return a row of the plan: jobs, hours, memory and disk of a stage at full size."""
    one = stage.name in ("train_student", "evaluate_student")
    jobs = 1 if one else LANGUAGES
    sentences = SENTENCES * (LANGUAGES if one else 1)
    training = PASSES.get(stage.name, 0) * sentences * WORDS / rate
    # Measured sentences are shorter than planned ones; what a student is tested on does not grow with training text.
    thousands = 0 if stage.name == "evaluate_student" else sentences * WORDS / measured_words() / 1000
    seconds = jobs * (stage.start + stage.each * thousands + training)
    memory = stage.memory + stage.memory_each * thousands
    disk = (stage.bytes_per_word or 0) * WORDS * SENTENCES * LANGUAGES / 1e9
    shown = f"{disk:.1f} GB" if disk >= 0.05 else "little"
    return [stage.name, str(jobs), duration(seconds), f"{memory / 1000:.1f} GB", shown]


def measured_words() -> float:
    """Return the words of a measured sentence, on average."""
    return fmean(text.count("\n") - 1 for text in corpus(1000))


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=2, default=(300, 1500), metavar="N")
    parser.add_argument("--provider", default="wheel", help="the encoder: wheel, or tiny for a trial")
    parser.add_argument("--json", type=Path, default=Path("build/scaling.json"), help="where the measurements go")
    parser.add_argument("--out", type=Path, default=Path("docs/scaling.md"))
    parser.add_argument("--page-only", action="store_true", help="write the page from the measurements that are there")
    options = parser.parse_args()
    sizes = tuple(options.sizes)
    if not options.page_only:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(measure(sizes, options.provider), indent=1), encoding="utf-8")
    options.out.write_text(page(json.loads(options.json.read_text()), sizes, options.provider), encoding="utf-8")


if __name__ == "__main__":
    main()
