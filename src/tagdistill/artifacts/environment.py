"""Numbers in environment variables."""

from __future__ import annotations

import math
import os

from tagdistill.errors import ConfigError


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


def count(name: str, default: int, least: int = 0) -> int:
    """Return the whole number in an environment variable; otherwise as `number`."""
    value = number(name, default, least)
    if value != int(value):
        raise ConfigError(f"{value:g} is no whole number", where=name, hint="Correct it, or unset it.")
    return int(value)
