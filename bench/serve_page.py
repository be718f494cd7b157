"""Write the measured part of docs/guide/serving.md: python bench/serve_page.py build/bench/serve.json PAGE.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from markdown import judged, table

START, END = "<!-- Written by `make bench-serve`; do not edit. -->", "<!-- The end of what is measured. -->"
TEXT = """\
The demo's student, `posterior`, on one thread of {processor} ({cores} cores, which the service shares with its clients;
load average {load}): requests of 1, 8 and 32 sentences of the demo's test sets in {languages} languages, over loopback,
{seconds:.0f} seconds of each load. Capacity is what clients get that always have a request waiting:
{requests_per_second:.0f} requests and {texts_per_second:.0f} sentences a second, {ratio} times what `Tagger` labels
in one process. In the rows, requests come at random times.
"""
STOP = """\
SIGTERM at twice the capacity: the process had ended after {seconds:.1f} s, with {accepted} requests accepted and
{answered} answered.
"""
HEAD = ["load / capacity", "answered", "refused (429)", "lost", "p50, ms", "p95, ms", "p99, ms (target)", "memory, MB"]


def part(run: dict[str, Any]) -> str:
    """Return the text and the table of a run."""
    half = run["loads"]["0.5"]["p99"]
    rows = []
    for load, found in run["loads"].items():
        statuses = found["statuses"]
        other = sum(number for status, number in statuses.items() if status not in ("200", "429"))
        last = f"{1000 * found['p99']:.0f}"
        if load == "2.0":
            last += f", {judged(found['p99'] / half, 3.0, most=True)} of that at half"
        times = [f"{1000 * found[name]:.0f}" for name in ("p50", "p95")]
        moves = f"{found['memory_mb']:.0f} ± {judged(100 * found['memory_moves'], 5.0, most=True)}%"
        rows.append([load, str(statuses.get("200", 0)), str(statuses.get("429", 0)), str(other), *times, last, moves])
    ratio = judged(run["texts_per_second"] / run["alone"], 0.8, form=".2f")
    return "\n".join([TEXT.format(**run, ratio=ratio), table(HEAD, rows), "", STOP.format(**run["stop"])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("page", type=Path)
    options = parser.parse_args()
    text = options.page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    found = part(json.loads(options.figures.read_text()))
    options.page.write_text(f"{before}{START}\n\n{found}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
