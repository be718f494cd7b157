"""Snakemake looks for jobs to start when one has ended, not a second after each time that it looked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter
from snakemake.settings.types import MaxJobsPerTimespan

from tagdistill.workflow.scheduling import look_only_when_jobs_end


def limited(limit: MaxJobsPerTimespan | None) -> Any:
    return SimpleNamespace(job_rate_limiter=JobRateLimiter(limit) if limit else None)


def test_the_limit_that_nobody_asked_for_is_taken_away():
    default = get_argument_parser(None).parse_args([]).max_jobs_per_timespan
    scheduler = limited(default)
    assert scheduler.job_rate_limiter is not None
    look_only_when_jobs_end(scheduler)
    assert scheduler.job_rate_limiter is None
    look_only_when_jobs_end(scheduler)  # nothing is left to take
    assert scheduler.job_rate_limiter is None


@pytest.mark.parametrize("limit", ["1/1s", "100/1m"])
def test_a_limit_of_the_users_own_stays(limit):
    scheduler = limited(MaxJobsPerTimespan.parse_choice(limit))
    look_only_when_jobs_end(scheduler)
    assert scheduler.job_rate_limiter is not None
