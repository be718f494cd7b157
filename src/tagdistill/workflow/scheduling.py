"""When Snakemake looks for jobs to start."""

from __future__ import annotations

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
