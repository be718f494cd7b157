"""Times linear-chain CRF implementations side by side, on the same inputs and in turns, and checks each.

    python bench/crf_peers.py                                      # ours and the peers this Python has
    python bench/crf_peers.py --path build/peers --sizes 64x50x17  # folders of peers; batch x time x labels
    python bench/crf_peers.py --plugin mine.py --json out.json     # further rows: a file with ROWS, like ours.py

The peers and their versions: bench/peers.txt, which `make bench` installs into build/peers. The "x" column is the time
of the fastest right PyTorch peer over ours; a row whose error against float64 is above the tolerance is marked WRONG
and is no peer. Compare ratios of one run only, on one thread, with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from crf_libraries import LIBRARIES
from crf_other import OTHERS
from crf_problem import Problem, Provider, Reference
from machine import machine, versions_in
from torch import Tensor

SIZES = ["32x30x9", "64x50x17", "16x512x17", "128x128x29"]
OPERATIONS = ["logz", "nll", "marginals", "viterbi", "kbest", "posterior_kd", "topk_kd"]
TURN, SLOW = 5.0, 4e3  # milliseconds
TOLERANCE = {"viterbi": 1e-5, "kbest": 1e-5}  # 1e-2 elsewhere: float32 gradients of the peers


def pad_paths(paths: Any, problem: Problem) -> Tensor:
    """Paths as a tensor (batch, k, time), 0 in padding."""
    if torch.is_tensor(paths):
        return paths.long().view(problem.B, -1, problem.T) * problem.mask[:, None]
    rows = [list(path[:n]) + [0] * (problem.T - n) for path, n in zip(paths, problem.lengths.tolist(), strict=True)]
    return torch.tensor(rows)[:, None]


def distance(found: Tensor, wanted: Tensor, floor: float = 1.0) -> float:
    found, wanted = found.detach().double(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(floor))


def error(operation: str, found: Any, reference: Reference, tiny: bool = False) -> float:
    """Largest relative error against float64."""
    problem = reference.p
    if operation == "logz":
        return distance(found, reference.of("logz"))
    if operation == "marginals":
        return distance(found * problem.mask[..., None], reference.of("marginals"))
    if operation in ("nll", "posterior_kd", "topk_kd"):
        loss, *gradients = reference.of(operation)
        pairs = zip(found[1:], gradients, strict=True)
        return max(abs(found[0] - loss) / abs(loss), *(distance(a, b, 1e-3) for a, b in pairs))
    paths = pad_paths(found if operation == "viterbi" else found[1], problem)
    score = problem.path_score([x.detach() for x in reference.leaf], paths)
    if any(len(set(map(tuple, rows))) < len(rows) for rows in paths.tolist()):
        return float("inf")  # a path twice
    best = reference.listed_scores if tiny else reference.best_scores
    return distance(score, best(score.shape[1]))


def measure(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each call, by name. Rows take turns until each has had its seconds, and three turns at least.

    A turn is as many calls as fit into `TURN`: what the other rows leave in the caches would weigh on a single short
    one. A call that takes longer than `SLOW` is made once.
    """
    found: dict[str, list[float]] = {}
    inner: dict[str, int] = {}
    for name, call in calls.items():
        first = milliseconds(call)
        found[name] = [first] if first > SLOW else []
        inner[name] = 1 if first > TURN else max(1, min(50, int(TURN / milliseconds(call, 3))))
    while open_ := [name for name, times in found.items() if not enough(times, inner[name], seconds)]:
        for name in open_:
            found[name].append(milliseconds(calls[name], inner[name]))
    return found


def milliseconds(call: Callable[[], Any], times: int = 1) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return 1e3 * (time.perf_counter() - begin) / times


def enough(times: list[float], inner: int, seconds: float) -> bool:
    total = inner * sum(times)
    return total > SLOW or (len(times) >= 3 and total >= 1e3 * seconds)


def compare(kinds: list[type[Provider]], size: str, operations: list[str], k: int, seconds: float) -> dict[str, Any]:
    """Return the rows of every operation at one size."""
    problem = Problem(*map(int, size.split("x")), seed=1)
    reference, providers = Reference(problem), {kind.name: kind(problem) for kind in kinds}
    return {operation: rows_of(operation, providers, reference, k, seconds) for operation in operations}


def rows_of(
    operation: str, providers: dict[str, Provider], reference: Reference, k: int, seconds: float
) -> dict[str, Any]:
    """Time one operation of every row that offers it; a row that cannot do it here says why."""
    arguments = [k] if operation == "kbest" else []
    calls, results, rows = {}, {}, {}
    for name, provider in providers.items():
        if not hasattr(provider, operation) or provider.skips(operation) == "not offered":
            continue
        rows[name] = {"ours": provider.ours, "torch": provider.torch, "failed": provider.skips(operation)}
        if rows[name]["failed"]:
            continue
        call = partial(getattr(provider, operation), *arguments)
        try:
            results[name] = call()
        except (RuntimeError, MemoryError) as why:
            rows[name]["failed"] = str(why).splitlines()[0]
        else:
            calls[name] = call
    for name, times in measure(calls, seconds).items():
        wrong = None if providers[name].own_weights else error(operation, results[name], reference)
        rows[name] |= {"ms": min(times), "median_ms": statistics.median(times), "turns": len(times), "error": wrong}
    return rows


def is_right(operation: str, row: dict[str, Any]) -> bool:
    """Whether a row was compared with float64 and is within the tolerance for peers."""
    return row.get("error") is not None and row["error"] < TOLERANCE.get(operation, 1e-2)


def fastest(operation: str, rows: dict[str, Any], *, torch_only: bool) -> str | None:
    """Return the name of the fastest right peer."""
    right = {
        name: row["ms"]
        for name, row in rows.items()
        if not row["ours"] and is_right(operation, row) and (row["torch"] or not torch_only)
    }
    return min(right, key=right.__getitem__, default=None)


def show(size: str, table: dict[str, Any]) -> None:
    print(f"\n{size:14s} {'row':20s} {'min ms':>9s} {'median':>9s} {'error':>8s} {'x':>7s}")
    for operation, rows in table.items():
        peer = fastest(operation, rows, torch_only=True)
        for name, row in sorted(rows.items(), key=lambda item: item[1].get("ms", float("inf"))):
            if row["failed"]:
                print(f"{operation:14s} {name:20s} {row['failed']}")
                continue
            ratio = f"{rows[peer]['ms'] / row['ms']:7.2f}" if row["ours"] and peer else ""
            mark = "" if is_right(operation, row) else "  own weights" if row["error"] is None else "  WRONG"
            wrong = "" if row["error"] is None else f"{row['error']:.0e}"
            print(f"{operation:14s} {name:20s} {row['ms']:9.3f} {row['median_ms']:9.3f} {wrong:>8s} {ratio}{mark}")


def check(kinds: list[type[Provider]], operations: list[str]) -> None:
    """Compare every row with enumeration on small problems, one with sentences of length 1."""
    for lengths in ([6, 5, 4, 3], [6, 4, 2, 1]):
        problem = Problem(4, 6, 3, seed=3, lengths=lengths)
        reference = Reference(problem)
        for kind in kinds:
            if not kind.own_weights:
                found = ", ".join(tiny_errors(kind(problem), operations, reference))
                print(f"errors, lengths {lengths}: {kind.name:20s} {found}")


def tiny_errors(provider: Provider, operations: list[str], reference: Reference) -> list[str]:
    found = []
    for operation in operations:
        if not hasattr(provider, operation) or provider.skips(operation):
            continue
        try:
            value = getattr(provider, operation)(*([3] if operation == "kbest" else []))
            found.append(f"{operation} {error(operation, value, reference, tiny=True):.0e}")
        except (RuntimeError, IndexError) as why:
            found.append(f"{operation} fails ({str(why).splitlines()[0]})")
    return found


def load(plugins: list[Path]) -> tuple[list[type[Provider]], dict[str, str]]:
    """Return the rows, and why some are missing."""
    rows = {**LIBRARIES, **OTHERS}
    for path in plugins:
        rows |= rows_in(path)
    kinds: list[type[Provider]] = []
    missing: dict[str, str] = {}
    for name, make in rows.items():
        try:
            kinds.append(make())
        except ImportError as why:
            missing[name] = str(why).splitlines()[0]
            print(f"not here: {name} ({missing[name]})")
    return kinds, missing


def rows_in(path: Path) -> dict[str, Callable[[], type[Provider]]]:
    """Return the ROWS of a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ROWS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", action="append", default=[], help="a folder to import peers from")
    parser.add_argument("--plugin", action="append", type=Path, default=[Path(__file__).with_name("ours.py")])
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--ops", default=",".join(OPERATIONS))
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each row and operation")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path += options.path
    torch.set_num_threads(options.threads)
    (kinds, missing), operations = load(options.plugin), options.ops.split(",")
    check(kinds, operations)
    versions = {name: found for folder in options.path for name, found in versions_in(Path(folder)).items()}
    out: dict[str, Any] = {"k": options.k, "missing": missing, "versions": versions, "sizes": {}}
    for size in options.sizes.split(","):
        out["sizes"][size] = compare(kinds, size, operations, options.k, options.seconds)
        show(size, out["sizes"][size])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**machine(), **out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
