"""What environment variables say: numbers, and the run of Snakemake that started this process."""

from __future__ import annotations

import math
import os

from tagdistill.artifacts.files import is_running
from tagdistill.errors import ConfigError

RUN = "TAGDISTILL_RUN"


def number(name: str, default: float, least: float = 0.0) -> float:
    """Return the number in an environment variable, or `default` where it is not set.

    Raises ConfigError for what is no number, or below `least`.
    """
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise ConfigError(f"{text!r} is no number from {least:g} on", where=name, hint="Correct it, or unset it.")
    return value


def start_of_run() -> None:
    """Tell the jobs that this process starts how to find out whether it is still there."""
    os.environ[RUN] = f"{os.uname().nodename}:{os.getpid()}"


def run_is_gone() -> bool:
    """Return whether the process that started the run of this job was killed: one that lives waits for its jobs.

    Nobody knows on another machine, or where no run started the job: False.
    """
    machine, _, process = os.environ.get(RUN, "").rpartition(":")
    return machine == os.uname().nodename and process.isdecimal() and not is_running(int(process))


def count(name: str, default: int, least: int = 0) -> int:
    """Return the whole number in an environment variable; otherwise as `number`."""
    value = number(name, default, least)
    if value != int(value):
        raise ConfigError(f"{value:g} is no whole number", where=name, hint="Correct it, or unset it.")
    return int(value)
