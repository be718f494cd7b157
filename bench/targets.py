"""What the kernels must reach: ratios of times in one run on one thread, and errors against float64."""

from __future__ import annotations

SIZES = ["32x30x9", "64x50x17", "16x512x17", "128x128x29"]

# Times of the fastest right PyTorch peer over ours, at SIZES in turn. k-best: of the published code, its only peer.
TORCH_PEER = {
    "logz": (3, 2.6, 4, 9),
    "nll": (4, 3.5, 9, 8),
    "marginals": (3.5, 4.5, 10, 9),
    "viterbi": (2, 4, 1.1, 4),
    "kbest": (1.2, 2, 1.3, 3),
    "posterior_kd": (2.5, 3, 9, 7),
    "topk_kd": (5, 3, 9, 7),
}
COMPILED = {
    "logz": (10, 12, 30, 20),
    "nll": (6, 9, 40, 25),
    "marginals": (30, 30, 100, 50),
    "viterbi": (20, 6, 20, 4),
    "kbest": (20, 35, 45, 20),
    "posterior_kd": (20, 25, 100, 40),
    "topk_kd": (5, 6, 30, 15),
}
# Of our results, relative; a gradient's is over its largest entry.
ERROR = {
    "logz": 1e-6,
    "nll": 1e-6,
    "marginals": 1e-6,
    "viterbi": 1e-6,
    "kbest": 1e-6,
    "posterior_kd": 1e-4,
    "topk_kd": 1e-6,
}


def ratio_target(row: str, operation: str, size: str) -> float | None:
    """Return the least ratio wanted of one of our rows; None for a size that has none."""
    table = COMPILED if "compiled" in row else TORCH_PEER
    return table[operation][SIZES.index(size)] if size in SIZES else None
