"""Processes of Python that start warm: forked from one that has imported what they need.

`command` starts the fork server of the workflow, once for each list of modules, and returns a command line that stands
for `python -m MODULE`. Nothing of tagdistill is imported before the fork: each process reads the sources that its
PYTHONPATH names.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tagdistill.workflow.forking import client, server

SNAKEMAKE = ("snakemake.cli", "snakemake.persistence.file", "snakemake.scheduling.job_scheduler")
MODELS = (
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "torch.utils.data",
    "safetensors.torch",
    "tokenizers",
)


@cache
def command(module: str, *imports: str) -> list[str]:
    """Return the command line that stands for `python -m MODULE`; it waits for the first of the imports."""
    if sys.platform != "linux":
        return [sys.executable, "-m", module]
    folder = Path(tempfile.mkdtemp(prefix="warm-"))  # short: the name of a socket has a hundred characters at most
    started = subprocess.Popen(
        [sys.executable, server.__file__, str(folder), module, *imports],
        stdin=subprocess.PIPE,  # closed by the end of this process, however it ends
        start_new_session=True,
    )
    assert started.stdin
    atexit.register(started.wait)
    atexit.register(started.stdin.close)
    while not (folder / server.SOCKET).exists():
        assert started.poll() is None
        time.sleep(0.01)
    return [sys.executable, "-IS", client.__file__, str(folder / server.SOCKET), ""]


def script(folder: Path, name: str, *imports: str) -> Path:
    """Write a command NAME that starts warm into a folder, and return the folder."""
    words = " ".join(f"'{word}'" for word in command(name, *imports))
    (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    (folder / name).chmod(0o755)
    return folder
