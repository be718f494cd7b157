"""Write docs/benchmarks.md from what crf_peers.py measured: `python bench/write_page.py RUN.json PAGE.md`."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from crf_peers import is_right

HEAD = """\
# Benchmarks

<!-- Written by `make bench`; do not edit. -->

One operation of a linear-chain CRF on one batch, {threads} thread, torch {torch}, Python {python}, {machine}. Rows are
measured in turn, in one run: read ratios, not milliseconds. A size is sentences x longest sentence x labels; lengths
are uniform between a quarter of the longest and the longest. `nll`, `posterior_kd` and `topk_kd` (K = {k}) are forward
and backward. "times faster" is the fastest right peer's time over ours. Errors are against float64: a row whose error
is too large for its operation is marked wrong and is not compared with. Peers: {peers}.
"""


def page(run: dict[str, Any]) -> str:
    """Return the page: a table for each size."""
    parts = [
        HEAD.format(
            threads=run["threads"],
            torch=run["torch"],
            k=run["k"],
            python=platform.python_version(),
            machine=f"{platform.system()} {platform.machine()}",
            peers=", ".join(_known(name) for name in ("pytorch-crf", "TorchCRF")),
        )
    ]
    for size, table in run["sizes"].items():
        lines = ["| operation | row | ms (least) | ms (median) | error | times faster |", "|---|---|---|---|---|---|"]
        for operation, rows in table.items():
            lines += _lines(operation, rows)
        parts.append(f"## {size}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _lines(operation: str, rows: dict[str, Any]) -> list[str]:
    peers = [row["ms"] for row in rows.values() if not row["ours"] and is_right(operation, row)]
    lines = []
    for name, row in sorted(rows.items(), key=lambda item: item[1]["ms"]):
        faster = f"**{min(peers) / row['ms']:.1f}**" if row["ours"] and peers else ""
        note = "" if is_right(operation, row) else " (wrong)"
        cells = (operation, name, f"{row['ms']:.2f}", f"{row['median_ms']:.2f}", f"{row['error']:.0e}{note}", faster)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _known(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(json.loads(options.run.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
