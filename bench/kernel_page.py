"""The part of docs/benchmarks.md on the CRF kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crf_peers import fastest, is_right
from markdown import judged, table
from targets import ERROR, ratio_target

KERNELS = """\
## CRF kernels

One operation of a linear-chain CRF on one batch; float32 inputs. A size is sentences x longest sentence x labels;
lengths are uniform between a quarter of the longest and the longest. `nll`, `posterior_kd` and `topk_kd` (K = {k}) are
forward and backward, `kbest` is the {k} best paths. "original" are the algorithms of the paper's published code,
reimplemented ([`bench/original.py`](../bench/original.py)). What a library lacks is composed as its user would:
marginals are the gradient of log Z, posterior distillation differentiates twice. Times are the least of all turns.

A row is right where its error against float64 stays below 1e-5 (paths) or 1e-2 (all else: the float32 gradients of the
peers); only right rows are compared with, but for `kbest`, whose one peer is "original", right or wrong: its k-best
returns wrong paths for sentences shorter than the longest of their batch. python-crfsuite takes no potentials, so its
rows have weights of their own, nobody knows their error, and no ratio is taken with them.
"""


def kernel_parts(run: dict[str, Any]) -> list[str]:
    """Return the page's part on the kernels."""
    sizes = run["sizes"]
    parts = [KERNELS.format(**run)]
    for name in ours_of(sizes):
        parts += [
            f"### {name}: times faster\n",
            "Than the fastest right PyTorch peer (for `kbest`: the original), with the target in brackets.\n",
            by_size(sizes, lambda operation, rows, size, name=name: faster(name, operation, rows, size)),
            "Than the original, and than the fastest right row of all, JAX and C++ included.\n",
            by_size(sizes, lambda operation, rows, _, name=name: than_others(name, operation, rows)),
            "Errors against float64, with their bounds.\n",
            by_size(sizes, lambda operation, rows, _, name=name: judged_error(name, operation, rows)),
        ]
    return parts + [f"### {size}: milliseconds\n\n{times(operations)}" for size, operations in sizes.items()]


def ours_of(sizes: dict[str, Any]) -> list[str]:
    rows = [row for operations in sizes.values() for each in operations.values() for row in each.items()]
    return list(dict.fromkeys(name for name, row in rows if row["ours"]))


def by_size(sizes: dict[str, Any], cell: Callable[[str, dict[str, Any], str], str]) -> str:
    """A table of operations by sizes."""
    operations = list(dict.fromkeys(operation for operations_ in sizes.values() for operation in operations_))
    lines = [
        [f"`{operation}`", *(cell(operation, operations[operation], size) for size, operations in sizes.items())]
        for operation in operations
    ]
    return table(["operation", *sizes], lines)


def faster(name: str, operation: str, rows: dict[str, Any], size: str) -> str:
    peer = "original" if operation == "kbest" else fastest(operation, rows, torch_only=True)
    ratio, wanted = ratio_of(name, peer, rows), ratio_target(name, operation, size)
    if ratio is None or peer is None:
        return "–"
    return f"{judged(ratio, wanted)}, {peer}"


def than_others(name: str, operation: str, rows: dict[str, Any]) -> str:
    original, best = ratio_of(name, "original", rows), fastest(operation, rows, torch_only=False)
    over_best = ratio_of(name, best, rows)
    return (f"{original:.1f}" if original else "–") + (f"; {over_best:.1f}, {best}" if over_best else "")


def ratio_of(name: str, peer: str | None, rows: dict[str, Any]) -> float | None:
    if peer is None or "ms" not in rows.get(peer, {}) or "ms" not in rows.get(name, {}):
        return None
    return rows[peer]["ms"] / rows[name]["ms"]


def judged_error(name: str, operation: str, rows: dict[str, Any]) -> str:
    found = rows.get(name, {}).get("error")
    if found is None:
        return "–"
    return judged(found, ERROR[operation], most=True, form=".0e")


def times(operations: dict[str, Any]) -> str:
    """A table of rows by operations: least milliseconds, † for a wrong row, – for what a row does not offer."""
    names = list(dict.fromkeys(name for rows in operations.values() for name in rows))
    lines = [[name, *(time_cell(each, rows.get(name)) for each, rows in operations.items())] for name in names]
    failed = {
        f"{name}, {each}: {row['failed']}"
        for each, rows in operations.items()
        for name, row in rows.items()
        if row["failed"]
    }
    notes = "† wrong; – not offered, or:\n" + "".join(f"- {note}\n" for note in sorted(failed))
    return table(["row", *operations], lines) + "\n" + (notes if failed else "† wrong; – not offered.\n")


def time_cell(operation: str, row: dict[str, Any] | None) -> str:
    if row is None or "ms" not in row:
        return "–"
    wrong = "" if row["error"] is None or is_right(operation, row) else "†"
    return f"{row['ms']:.3g}{wrong}" if row["ms"] < 1000 else f"{row['ms']:.0f}{wrong}"
