"""No more connections than the process may open files, so that each one can be accepted."""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVED = 128  # descriptors for connections that are just being ended, and for all that is no connection


def connection_limit(wanted: int) -> int:
    """Return how many connections there may be, `wanted` at most; raises the soft limit of open files where needed."""
    needed = wanted + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _below(soft, needed):
        most = hard if _below(hard, needed) else needed
        with suppress(OSError, ValueError):  # a system may have a bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return max(1, soft - RESERVED) if _below(soft, needed) else wanted


def _below(limit: int, needed: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < needed
