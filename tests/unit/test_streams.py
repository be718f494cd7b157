"""Standard streams that are closed: what must go to one is an error, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, subprocess, sys
from tagdistill.artifacts.streams import open_streams
open_streams()
assert os.open(os.devnull, os.O_RDONLY) > 2
child = "import os; list(map(os.fstat, range(3)))"
assert subprocess.run([sys.executable, "-c", child]).returncode == 0
print("seen", file=sys.stderr)
assert sys.stdin.buffer.read() == b""
print("written", flush=True)
"""


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        ("2>&-", "written", ""),
        (">&-", "", "seen"),
        ("<&-", "written", "seen"),
        ("<&- >&- 2>&-", "", ""),
    ],
)
def test_closed_streams_lead_nowhere_and_cost_nothing(closed: str, out: str, err: str):
    command = f'exec "$0" -c "$1" {closed}'
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable, CODE], input="", capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr.strip()) == (0, out, err)


@pytest.mark.parametrize("output", ["", "--output -", "--output /dev/stdout"])
def test_labels_are_not_written_to_a_stream_that_is_closed(output: str):
    command = f'exec "$0" -m tagdistill predict --model . {output} >&-'
    ended = subprocess.run(["sh", "-c", command, sys.executable], input="", capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "error: stdout: is closed\n  Name a file to write to, or open it.\n")
