"""The resources that jobs request on a cluster; on one machine jobs run side by side, with one core each.

The figures are round and generous, and a profile may set others (`set-resources`). A job that is killed for memory or
time comes back with more of both (`retries` in the profile), and training goes on from its checkpoint.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 24 * 60  # few partitions allow less; a job that asks for more than its partition allows is never started


def memory(base: int, more: Callable[[Any], float] | None = None) -> Callable[..., int]:
    """Return the `mem_mb` of a rule: `base` MB and twice its input files, doubled at each further attempt.

    Features and states are folders, which do not count: they are mapped. `more` returns, from a job's wildcards, the
    MB of files that the job reads and that are no inputs of the rule.
    """

    def mem_mb(wildcards: Any, input: Any, attempt: int) -> int:
        size = megabytes(input) + (more(wildcards) if more else 0)
        return round(base + 2 * size) << (attempt - 1)

    return mem_mb


def megabytes(files: Any) -> float:
    """Return the size of the inputs of a job. Raises FileNotFoundError for one that is to be made.

    Snakemake's own `size_mb` starts an event loop for each job, which takes longer than all else in the plan of a job;
    only it can ask a remote store.
    """
    if any(getattr(file, "is_storage", False) for file in files):
        return float(files.size_mb)
    return sum(map(os.path.getsize, files)) / 1e6


def minutes(base: int) -> Callable[..., int]:
    """Return the `runtime` of a rule: `base` minutes, doubled at each further attempt, a day at most."""

    def runtime(_wildcards: Any, attempt: int) -> int:
        return min(base << (attempt - 1), DAY)

    return runtime


def gpus(device: str) -> int:
    """Return the `gpu` of the rules that run a model: 1 where the settings say `device: cuda`, else 0.

    `auto` asks for none: it takes the GPU it finds, and on a cluster a job finds only what it asked for.
    """
    return int(device == "cuda")
