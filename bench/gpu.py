"""Times the CRF kernels on a GPU beside pytorch-crf and the published code; writes figures and a page.

    python bench/gpu.py --json build/gpu.json --page docs/benchmarks-gpu.md
    python bench/gpu.py --from build/gpu.json --page docs/benchmarks-gpu.md  # the page alone
    python bench/gpu.py --device cpu --sizes 4x8x5 --seconds 0.01            # a test without a GPU

Needs torch and tagdistill.crf alone: PYTHONPATH=src, and pytorch-crf in a folder named with --path. A call is timed
from an idle device to an idle device, launches included, after calls that warm it up; rows take turns.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from crf_libraries import LIBRARIES
from crf_peers import error, is_right
from crf_problem import Problem, Provider, Reference
from ours import Tagdistill

SIZES = ["64x50x17", "128x128x29", "16x512x17"]
OPERATIONS = ["nll", "marginals", "posterior_kd", "viterbi", "kbest"]
PEERS = {"pytorch-crf": OPERATIONS, "original": ["kbest"]}  # pytorch-crf has no k-best; the published code has
K = 10
WARM_UP = 3

HEAD = """\
# Benchmarks on a GPU

<!-- Written by `make bench-gpu`; do not edit. -->

One operation of a linear-chain CRF on one batch, on {device}, torch {torch}, Python {python}; float32 inputs. A size is
sentences x longest sentence x labels; lengths are uniform between a quarter of the longest and the longest. `nll` and
`posterior_kd` are forward and backward, `kbest` is the {k} best paths. Rows are timed in turns in one run, from an idle
device to an idle device, launches included: the median of all calls and the least. "peak MiB" is what one call
allocates above its inputs. Errors are against float64 on the CPU. "times faster" is the median of the fastest right
peer over ours; for `kbest` the peer is the published code ("original"), which is compared with although its paths of
shorter sentences are wrong.
"""


class Clock:
    """Times calls on one device, from idle to idle."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def milliseconds(self, call: Callable[[], Any]) -> float:
        self.wait()
        begin = time.perf_counter()
        call()
        self.wait()
        return 1e3 * (time.perf_counter() - begin)

    def peak(self, call: Callable[[], Any]) -> float | None:
        """MiB allocated by one call above what stood before it; None on a CPU."""
        if not self.cuda:
            return None
        self.wait()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        self.wait()
        return (torch.cuda.max_memory_allocated() - before) / 2**20


def to_cpu(found: Any) -> Any:
    if torch.is_tensor(found):
        return found.cpu()
    return tuple(map(to_cpu, found)) if isinstance(found, tuple) else found


def measure(calls: dict[str, Callable[[], Any]], clock: Clock, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each call, by name; rows take turns until each has had its seconds, and three calls at least."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    while open_ := [name for name, times in found.items() if len(times) < 3 or sum(times) < 1e3 * seconds]:
        for name in open_:
            found[name].append(clock.milliseconds(calls[name]))
    return found


def warmed(calls: dict[str, Callable[[], Any]]) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
    """Call each a few times; return those that work and why the others do not."""
    working, failed = {}, {}
    for name, call in calls.items():
        try:
            for _ in range(WARM_UP):
                call()
        except RuntimeError as why:  # out of memory, or an operation that the row's library lacks on this device
            failed[name] = str(why).splitlines()[0]
        else:
            working[name] = call
    return working, failed


def compare(kinds: list[type[Provider]], size: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the rows of every operation at one size."""
    shape = tuple(map(int, size.split("x")))
    reference, clock = Reference(Problem(*shape, seed=1)), Clock(options.device)
    rows = {kind.name: kind(Problem(*shape, seed=1, device=options.device)) for kind in kinds}
    table: dict[str, Any] = {}
    for operation in options.ops.split(","):
        arguments = [K] if operation == "kbest" else []
        able = {name: row for name, row in rows.items() if row.ours or operation in PEERS[name]}
        calls = {n: partial(getattr(r, operation), *arguments) for n, r in able.items() if hasattr(r, operation)}
        working, failed = warmed(calls)
        table[operation] = {name: {"ours": able[name].ours, "failed": why} for name, why in failed.items()}
        for name, times in measure(working, clock, options.seconds).items():
            table[operation][name] = {
                "ours": able[name].ours,
                "ms": statistics.median(times),
                "least_ms": min(times),
                "calls": len(times),
                "peak_mib": clock.peak(calls[name]),
                "error": error(operation, to_cpu(calls[name]()), reference),
            }
    return table


def fastest_peer(operation: str, rows: dict[str, Any]) -> float | None:
    peers = [row for row in rows.values() if not row["ours"] and "ms" in row]
    right = [row["ms"] for row in peers if operation == "kbest" or is_right(operation, row)]
    return min(right, default=None)


def lines_of(operation: str, rows: dict[str, Any]) -> list[str]:
    """Return the page's rows of one operation, fastest first."""
    peer, lines = fastest_peer(operation, rows), []
    for name, row in sorted(rows.items(), key=lambda item: item[1].get("ms", float("inf"))):
        if "failed" in row:
            lines.append(f"| {operation} | {name} | failed: {row['failed'].replace('|', '/')} | | | | |")
            continue
        faster = f"**{peer / row['ms']:.1f}**" if row["ours"] and peer else ""
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.1f}"
        note = "" if is_right(operation, row) else " (wrong)"
        cells = (operation, name, f"{row['ms']:.3f}", f"{row['least_ms']:.3f}", peak, f"{row['error']:.0e}{note}")
        lines.append("| " + " | ".join((*cells, faster)) + " |")
    return lines


def page(run: dict[str, Any]) -> str:
    """Return the page: a table for each size."""
    parts = [HEAD.format(**run)]
    for size, table in run["sizes"].items():
        lines = ["| operation | row | ms (median) | ms (least) | peak MiB | error | times faster |"]
        lines.append("|---|---|---|---|---|---|---|")
        for operation, rows in table.items():
            lines += lines_of(operation, rows)
        parts.append(f"## {size}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def rows_here() -> list[type[Provider]]:
    kinds: list[type[Provider]] = []
    for name in PEERS:
        try:
            kinds.append(LIBRARIES[name]())
        except ImportError as why:
            print(f"not here: {name} ({why})", file=sys.stderr)
    return [*kinds, Tagdistill]


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(
            f"{options.device}: torch {torch.__version__} sees no CUDA device. Run this on a machine with a GPU and a "
            "CUDA build of torch, or test it with --device cpu."
        )
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else f"{platform.machine()} CPU"
    found: dict[str, Any] = {
        "device": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "k": K,
        "sizes": {},
    }
    kinds = rows_here()
    for size in options.sizes.split(","):
        found["sizes"][size] = compare(kinds, size, options)
        print(f"\n{size}", *(line for o, r in found["sizes"][size].items() for line in lines_of(o, r)), sep="\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", action="append", default=[], help="a folder to import peers from")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--ops", default=",".join(OPERATIONS))
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row and operation")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--page", type=Path, help="where the page goes")
    parser.add_argument("--from", dest="source", type=Path, help="make the page from these figures, measure nothing")
    options = parser.parse_args()
    sys.path += options.path
    found = json.loads(options.source.read_text()) if options.source else run(options)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.page:
        options.page.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
