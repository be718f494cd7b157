"""What environment variables say."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tagdistill.artifacts import environment


def test_a_run_is_gone_where_its_process_on_this_machine_is(monkeypatch: pytest.MonkeyPatch):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = os.uname().nodename
    for value, gone in (
        (f"{here}:{ended.pid}", True),
        (f"{here}:{os.getpid()}", False),
        (f"{here}:1", False),  # another user's, perhaps
        (f"{here}:{10**30}", False),  # no number of a process
        (f"other:{ended.pid}", False),
        (f"{here}:", False),
        ("", False),
    ):
        monkeypatch.setenv(environment.RUN, value)
        assert environment.run_is_gone() is gone, value
    environment.start_of_run()
    assert os.environ[environment.RUN] == f"{here}:{os.getpid()}" and not environment.run_is_gone()
