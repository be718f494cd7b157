"""Snakemake looks for jobs to start when one has ended, not a second after each time that it looked, and stops well."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter
from snakemake.settings.types import MaxJobsPerTimespan

from tagdistill.workflow.scheduling import look_only_when_jobs_end, stop_well


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


@pytest.fixture
def handlers():
    """Begin without handlers of the signals (nohup ignores one), and put those that were there back."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Scheduler:
    def __init__(self) -> None:
        self.lock, self.stopped = threading.Lock(), threading.Event()

    def exit_gracefully(self) -> None:
        with self.lock:
            self.stopped.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.timeout(30)
def test_a_signal_that_arrives_while_the_scheduler_holds_its_lock_stops_the_run(handlers, number):
    scheduler = Scheduler()
    stop_well(scheduler)
    with scheduler.lock:
        os.kill(os.getpid(), number)
    assert scheduler.stopped.wait(10)


def test_a_hang_up_that_is_ignored_stays_so(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop_well(Scheduler())
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
