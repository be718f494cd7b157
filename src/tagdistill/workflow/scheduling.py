"""When Snakemake looks for jobs to start, and when it stops doing so."""

from __future__ import annotations

import signal
import threading
from typing import Any

DEFAULT_LIMIT = (100, 1)  # jobs, seconds: of Snakemake's --max-jobs-per-timespan


def look_only_when_jobs_end(scheduler: Any) -> None:
    """Take Snakemake's default limit of jobs a second from its scheduler; one that the user gave stays.

    With a limit Snakemake looks for jobs again a timespan after each time that it looked, without end; each job that
    ends begins two such chains, so that it looks ever more often the more jobs a run has.
    """
    limiter = scheduler.job_rate_limiter
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == DEFAULT_LIMIT:
        scheduler.job_rate_limiter = None


def stop_well(scheduler: Any) -> None:
    """Let a run that loses its terminal, or gets SIGTERM, start no more jobs and end with the last one, without a lock.

    SIGHUP would end Snakemake at once, so that its lock stays. For SIGTERM it does the same as here, but in the thread
    that the signal interrupts: where that one holds the scheduler's lock, it would wait for itself without end.
    """

    def stop(*_: object) -> None:
        threading.Thread(target=scheduler.exit_gracefully, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, stop)
