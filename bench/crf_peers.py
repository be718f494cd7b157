"""Times linear-chain CRF implementations side by side, on the same inputs and in turns, and checks each.

    python bench/crf_peers.py                                     # ours and the peers this Python has
    python bench/crf_peers.py --path /tmp/peers --sizes 64x50x17  # folders to import peers from; batch x time x labels
    python bench/crf_peers.py --plugin mine.py --json out.json    # further rows: a file with providers() -> [Provider]

Peers: pip install --target /tmp/peers --no-deps pytorch-crf TorchCRF. The "x" column is the time of the fastest
correct peer over ours; a row whose error against float64 is above the bar is marked WRONG and is no peer. Compare
ratios of one run only, on one thread, with nothing else on the machine.
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
from crf_problem import Problem, Provider, Reference
from torch import Tensor

SIZES = ["32x30x9", "64x50x17", "16x512x17", "128x128x29"]
OPERATIONS = ["logz", "nll", "marginals", "viterbi", "kbest", "posterior_kd", "topk_kd"]
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


def measure(providers: list[Provider], operation: str, arguments: list[int], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each call, by name; rows take turns until each has had its seconds."""
    able = [provider for provider in providers if hasattr(provider, operation)]
    calls: dict[str, Callable[[], Any]] = {p.name: partial(getattr(p, operation), *arguments) for p in able}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    while open_ := [name for name, times in found.items() if len(times) < 5 or sum(times) < 1e3 * seconds]:
        for name in open_:
            begin = time.perf_counter()
            calls[name]()
            found[name].append(1e3 * (time.perf_counter() - begin))
    return found


def compare(kinds: list[type[Provider]], size: str, operations: list[str], k: int, seconds: float) -> dict[str, Any]:
    problem = Problem(*map(int, size.split("x")), seed=1)
    reference, providers = Reference(problem), [kind(problem) for kind in kinds]
    table: dict[str, Any] = {}
    for operation in operations:
        arguments = [k] if operation == "kbest" else []
        rows = {}
        for name, times in measure(providers, operation, arguments, seconds).items():
            provider = next(p for p in providers if p.name == name)
            wrong = error(operation, getattr(provider, operation)(*arguments), reference)
            rows[name] = {
                "ms": min(times),
                "median_ms": statistics.median(times),
                "error": wrong,
                "ours": provider.ours,
            }
        table[operation] = rows
    return table


def is_right(operation: str, row: dict[str, Any]) -> bool:
    return row["error"] < TOLERANCE.get(operation, 1e-2)


def show(size: str, table: dict[str, Any]) -> None:
    print(f"\n{size:14s} {'row':12s} {'min ms':>9s} {'median':>9s} {'error':>8s} {'x':>7s}")
    for operation, rows in table.items():
        peers = [row["ms"] for row in rows.values() if not row["ours"] and is_right(operation, row)]
        for name, row in sorted(rows.items(), key=lambda item: item[1]["ms"]):
            ratio = f"{min(peers) / row['ms']:7.2f}" if row["ours"] and peers else ""
            mark = "" if is_right(operation, row) else "  WRONG"
            print(
                f"{operation:14s} {name:12s} {row['ms']:9.3f} {row['median_ms']:9.3f} {row['error']:8.0e} {ratio}{mark}"
            )


def check(kinds: list[type[Provider]], operations: list[str]) -> None:
    """Compare every row with enumeration on small problems, one with sentences of length 1."""
    for lengths in ([6, 5, 4, 3], [6, 4, 2, 1]):
        problem = Problem(4, 6, 3, seed=3, lengths=lengths)
        reference = Reference(problem)
        for kind in kinds:
            provider, found = kind(problem), []
            for operation in operations:
                if hasattr(provider, operation):
                    arguments = [3] if operation == "kbest" else []
                    value = getattr(provider, operation)(*arguments)
                    found.append(f"{operation} {error(operation, value, reference, tiny=True):.0e}")
            print(f"errors, lengths {lengths}: {provider.name:12s}", ", ".join(found))


def load(plugins: list[Path]) -> list[type[Provider]]:
    kinds: list[type[Provider]] = []
    for name, make in LIBRARIES.items():
        try:
            kinds.append(make())
        except ImportError as why:
            print(f"not here: {name} ({why})")
    for path in plugins:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        kinds += module.providers()
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", action="append", default=[], help="a folder to import peers from")
    parser.add_argument("--plugin", action="append", type=Path, default=[Path(__file__).with_name("ours.py")])
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--ops", default=",".join(OPERATIONS))
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row and operation")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path[:0] = options.path
    torch.set_num_threads(options.threads)
    kinds, operations = load(options.plugin), options.ops.split(",")
    check(kinds, operations)
    out: dict[str, Any] = {"torch": torch.__version__, "threads": options.threads, "k": options.k, "sizes": {}}
    for size in options.sizes.split(","):
        out["sizes"][size] = compare(kinds, size, operations, options.k, options.seconds)
        show(size, out["sizes"][size])
    if options.json:
        options.json.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
