"""Write docs/benchmarks.md from the figures of a run.

python bench/write_page.py --kernels K.json --student S.json --cache C.json --tagger T.json PAGE.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kernel_page import kernel_parts
from markdown import judged, table

HEAD = """\
# Benchmarks

<!-- Written by `make bench`; do not edit. -->

`make bench` measures all of this page in one run, every row on one thread and rows in turns: read ratios, never
milliseconds of two tables.

- Machine: {processor}, {cores} cores; load average {load} as the run ended. {system}, Python {python}, torch {torch}.
- Peers, and what they need: {peers}.
{missing}"""

STUDENT = """\
## A student's step

A BiLSTM of {hidden} units a direction on vectors of {width} numbers, {labels} labels, {words[train]} made-up words in
{batches} batches of at most {batch_words} words, padding included. The student is trained by the workflow's own trainer
with its own batches, losses and optimiser; "distilled" adds the posterior and the {k} best sequences of a teacher to
the gold loss (`posterior+top_wk`). "softmax" is the same network and trainer with a cross-entropy in place of the
chain; flair is its `SequenceTagger` (BiLSTM-CRF, no reprojection) on the same vectors in a bare loop, without its
trainer. One thread; the median of {rounds} rounds in turns.
"""

TAGGER = """\
## Labelling raw text

The demo's student, `posterior`, on {sentences} sentences ({words} words) of its {languages} languages, from raw text to
labels, each row in a process of its own on one thread; the median of {rounds} rounds in turns. "graph" is a graph of
the exported student, with the vocabulary of the demo (`vocabulary: used`), run by `tagdistill.Tagger`, "torch" the same
student in torch. "pipeline" is Hugging Face's `pipeline("token-classification")` with the same layers of the same
encoder and a linear layer, at the best of some batch sizes; flair is its tagger (BiLSTM-CRF) on the word vectors that
the student reads; "spaCy" is its transformer pipeline (`spacy-transformers`) on the same encoder with its component for
named entities, at the best of the same batch sizes. These three are not trained, and have no score; on disk are the
files of the student or the encoder that they read. "First label" is processor time from the start of Python.
{missing}"""

CACHE = """\
## A teacher's targets on disk

{sentences} sentences, {words} words, {labels} labels, k = {k}: posteriors, the k best sequences with their
log-probabilities, and ids, written and read by the workflow's own code; "nested lists" is the same as pandas writes a
data frame of lists. Batches are padded and of at most 2,000 words, sentences in random order.
"""


def page(kernels: dict[str, Any], student: dict[str, Any], cache: dict[str, Any], tagger: dict[str, Any]) -> str:
    """Return the page."""
    missing = "".join(f"- Not measured: {name} ({why}).\n" for name, why in kernels["missing"].items())
    peers = ", ".join(f"{name} {version}" for name, version in kernels["versions"].items()) or "none"
    head = HEAD.format(**{**kernels, "missing": missing, "peers": peers})
    return "\n".join([head, tagger_part(tagger), student_part(student), cache_part(cache), *kernel_parts(kernels)])


def student_part(run: dict[str, Any]) -> str:
    rows = run["rows"]
    lines = [
        [name, *(f"{row[what]['words_per_second']:.0f}" for what in ("train", "predict"))] for name, row in rows.items()
    ]
    ratios = [
        ["training: distilled / not distilled", *ratio(rows, "train", "student, distilled", "student", 0.93)],
        ["training: student / softmax", *ratio(rows, "train", "student", "softmax", 0.97)],
        ["training: student / flair", *ratio(rows, "train", "student", "flair", 1.15)],
        ["prediction: student / flair", *ratio(rows, "predict", "student", "flair", 1.5)],
    ]
    return "\n".join(
        [
            STUDENT.format(**{**run["shape"], **run}),
            table(["row", "words/s, training", "words/s, prediction"], lines),
            table(["ratio of speeds", "wall clock (target)", "processor time"], ratios),
        ]
    )


def ratio(rows: dict[str, Any], what: str, mine: str, theirs: str, target: float | None) -> tuple[str, str]:
    """Return the ratio of two rows' speeds by wall clock, judged, and by processor time."""
    if mine not in rows or theirs not in rows:
        return "–", "–"
    wall, processor = (
        rows[mine][what][clock] / rows[theirs][what][clock]
        for clock in ("words_per_second", "words_per_processor_second")
    )
    return judged(wall, target, form=".2f"), f"{processor:.2f}"


def cache_part(run: dict[str, Any]) -> str:
    faster = run["nested_read_ms"] / run["read_ms"]
    lines = [
        ["bytes a word", judged(run["bytes_per_word"], 34, most=True), f"{run['nested_bytes_per_word']:.1f}"],
        ["reading all, ms", judged(run["read_ms"], 80, most=True), f"{run['nested_read_ms']:.0f}"],
        ["times faster read", judged(faster, 5), "1"],
        ["writing all, ms", f"{run['write_ms']:.0f}", ""],
        ["sentences/s in shuffled padded batches", judged(run["sentences_per_second"], 25_000, form=".0f"), ""],
        ["mean KL of a stored posterior", judged(run["kl_mean"], 1e-6, most=True, form=".0e"), ""],
        ["largest KL", f"{run['kl_largest']:.0e}", ""],
        ["same bytes when written again", "yes" if run["identical"] else "no, missed", ""],
    ]
    return CACHE.format(**run) + "\n" + table(["", "targets file (target)", "nested lists"], lines)


def tagger_part(run: dict[str, Any]) -> str:
    rows = run["rows"]
    bounds = {"first": 1.0, "memory_mb": 300.0, "disk_mb": 40.0}  # of int8, the graph that is run if none is named
    lines = []
    for name, row in rows.items():
        limits = bounds if name == "graph, int8" else {}
        first, memory, disk = (
            judged(row[what], limits.get(what), most=True, form=form) if what in row else "–"
            for what, form in (("first", ".2f"), ("memory_mb", ".0f"), ("disk_mb", ".0f"))
        )
        score = f"{row['score']:.2f}" if "score" in row else "–"
        lines.append([name, f"{row['words_per_second']:.0f}", first, memory, disk, score])
    ratios = [
        [f"{mine} / {other}", *ratio({name: {"": row} for name, row in rows.items()}, "", mine, other, target)]
        for mine, other, target in (
            ("graph, int8", "pipeline", 5.0),
            ("graph, fp32", "pipeline", 2.0),
            ("graph, int8", "flair", None),
            ("graph, int8", "spaCy", None),
            ("graph, int8", "torch", None),
        )
    ]
    missing = "".join(f"\nNot measured: {name} ({why}).\n" for name, why in run["missing"].items())
    head = ["row", "words/s", "first label, s (target)", "memory, MB (target)", "on disk, MB (target)", "score"]
    return "\n".join(
        [
            TAGGER.format(**{**run, "missing": missing}),
            table(head, lines),
            table(["ratio of speeds", "wall clock (target)", "processor time"], ratios),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("kernels", "student", "cache", "tagger"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    files = (options.kernels, options.student, options.cache, options.tagger)
    runs = (json.loads(path.read_text()) for path in files)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(*runs), encoding="utf-8")


if __name__ == "__main__":
    main()
