"""What is slow: whole runs of the workflow, and single tests that say so. `make test-quick` leaves them out."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

SLOW = {"workflow", "cluster"}
FIRST = "test_real_data.py"  # the longest: whoever is done takes the short ones from the end of the others' queues

gc.disable()  # while tests are collected, of which it would be a third of the time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: item.path.name != FIRST)


def pytest_collection_finish() -> None:
    """Leave all that was imported out of later garbage collections."""
    gc.freeze()
    gc.enable()
