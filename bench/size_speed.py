"""Size and speed against score: what the teachers and students of finished experiments cost, and what they score.

    python bench/size_speed.py results/evidence-pos results/evidence-pos-tuned --out docs/results/size-speed

The students of one objective and the teachers are exported as graphs with the encoder's whole vocabulary. Each graph
labels the same raw text in a process of its own on one thread, in turns. Teachers that experiments share are measured
once.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
from machine import machine
from markdown import table
from tagger import export, scores, sizes, turn

from tagdistill.artifacts.files import write_text
from tagdistill.models.model import read_config
from tagdistill.reporting.charts import chart_of
from tagdistill.reporting.figures import svg
from tagdistill.settings.encoder import WordEncoder

PRECISIONS = {"graph, fp32": "32 bits", "graph, int8": "8 bits"}
HEAD = """\
# Size and speed against score

<!-- Written by `make size-speed` from finished experiments; do not edit. -->

What models cost, beside what they score: averages over languages and seeds, as in the tables of the experiments
(`{objective}` students). "8 bits" is what the graph of 8 bits gains or loses in-language, for the first seed. Megabytes
are those of a graph with the encoder's whole vocabulary, and of all {languages} teachers, each of which knows one
language. Words a second are those of one core, from raw text to labels: {sentences} sentences, {words} words, the same
for all, medians of {rounds} rounds in turns.

Machine: {processor}, {cores} cores, load average {load} as the run ended; {system}, Python {python}, torch {torch}.
"""


@dataclass(frozen=True)
class System:
    """A student, or the teachers of all languages."""

    name: str
    experiment: Path
    row: str  # of the tables of scores
    model: Path  # of the first seed, or of the first language
    copies: int = 1


def systems(folders: list[Path], objective: str) -> list[System]:
    """Return the teachers of the first experiment, and the student of each."""
    found = []
    for folder in folders:
        student = sorted(folder.glob(f"students/{objective}/seed-*/model"))[0]
        config = read_config(student)
        if not found:
            models = [
                sorted(folder.glob(f"teachers/{language}/crf/seed-*/model"))[0] for language in config["languages"]
            ]
            name = f"teachers, {_layers(read_config(models[0]))} layers"
            found.append(System(name, folder, "Teachers", models[0], len(models)))
        kind = "tuned" if config["mode"] == "finetune" else "frozen"
        found.append(System(f"{kind} student, {_layers(config)} layers", folder, objective, student))
    return found


def _layers(config: dict[str, Any]) -> int:
    """Return how many layers of its encoder a model runs."""
    settings = WordEncoder.model_validate(config["encoder"])
    return settings.layers if config["mode"] == "finetune" else max(settings.taps)


def average(system: System, group: str) -> str:
    """Return the average of a system in the tables of its experiment."""
    with (system.experiment / f"tables/{group}.tsv").open(encoding="utf-8", newline="") as handle:
        rows = {row["system"]: row["average"] for row in csv.DictReader(handle, delimiter="\t")}
    return rows.get(system.row, "–")


def measure(
    found: list[System], place: Path, rounds: int, sentences: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the figures of each system, and how much text it labelled."""
    rows: list[dict[str, Any]] = []
    texts: dict[str, Any] = {}
    folders = [place / str(number) for number in range(len(found))]
    for system, folder in zip(found, folders, strict=True):
        folder.mkdir()
        amount = export(system.model, system.experiment / "data", folder, sentences, vocabulary="full")
        if system.copies == 1 and not texts:
            texts, first = amount, folder / "texts.json"
        size, each = sizes(folder), scores(folder, system.model, system.experiment / "data")
        row = {
            "system": system.name,
            "experiment": system.experiment.name,
            "in_language": average(system, "in_language"),
            "zero_shot": average(system, "zero_shot"),
            "8 bits": f"{each['graph, int8'] - each['graph, fp32']:+.2f}",
        }
        rows.append(row | {f"MB, {bits}": system.copies * size[name] for name, bits in PRECISIONS.items()})
    for folder in folders:
        if folder != first.parent:
            shutil.copyfile(first, folder / "texts.json")
    for name, bits in PRECISIONS.items():
        turns = [[turn(name, folder, "")["words_per_second"] for folder in folders] for _ in range(rounds)]
        for row, speeds in zip(rows, zip(*turns, strict=True), strict=True):
            row[f"words a second, {bits}"] = statistics.median(speeds)
    return rows, texts


def figure(rows: list[dict[str, Any]]) -> str:
    """Return the plot: the score against the size, each point as large as it is fast."""
    points = [
        {
            "system": row["system"],
            "score": float(row["in_language"].partition(" ")[0]),
            "megabytes": row[f"MB, {bits}"],
            "words a second": row[f"words a second, {bits}"],
            "precision": bits,
        }
        for row in rows
        for bits in PRECISIONS.values()
    ]
    sizes = sorted(round(point["megabytes"]) for point in points)
    base = chart_of(points).encode(
        x=alt.X(
            "words a second:Q",
            scale=alt.Scale(type="log", nice=False, padding=30),
            axis=alt.Axis(title="words a second, one core", labelOverlap="greedy", labelSeparation=8),
        ),
        y=alt.Y("score:Q", scale=alt.Scale(zero=False, padding=20), title="score in-language"),
    )
    marks = base.mark_circle(opacity=0.8).encode(
        size=alt.Size(
            "megabytes:Q",
            scale=alt.Scale(type="sqrt", range=[40, 900]),
            legend=alt.Legend(
                orient="right", title="megabytes", columns=1, values=[sizes[0], statistics.median_low(sizes), sizes[-1]]
            ),
        ),
        color=alt.Color("system:N", sort=None, legend=alt.Legend(title=None, columns=1)),
    )
    labels = base.mark_text(dy=-18, fontSize=10).encode(text="precision:N")
    return svg(alt.layer(marks, labels).properties(width=520, height=360), "size-speed")


def cells(row: dict[str, Any]) -> list[str]:
    return [value if isinstance(value, str) else f"{value:,.0f}" for value in row.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path, help="folders results/NAME of finished experiments")
    parser.add_argument("--objective", default="posterior")
    parser.add_argument("--sentences", type=int, default=40, help="of each language")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="the page without its ending: .md, .tsv and .svg")
    options = parser.parse_args()
    found = systems(options.experiments, options.objective)
    with tempfile.TemporaryDirectory() as place:
        rows, texts = measure(found, Path(place), options.rounds, options.sentences)
    head = HEAD.format(**machine(), **texts, rounds=options.rounds, objective=options.objective)
    lines = table([name.replace("_", "-") for name in rows[0]], [cells(row) for row in rows])
    caption = f"![Score against words a second; the larger a point, the more megabytes]({options.out.name}.svg)\n"
    write_text(options.out.with_suffix(".md"), "\n".join([head, lines, caption]))
    tsv = ["\t".join(rows[0]), *("\t".join(str(value) for value in row.values()) for row in rows)]
    write_text(options.out.with_suffix(".tsv"), "\n".join(tsv) + "\n")
    write_text(options.out.with_suffix(".svg"), figure(rows))


if __name__ == "__main__":
    main()
