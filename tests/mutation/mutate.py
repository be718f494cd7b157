"""Change the package in one place at a time and see whether a test fails: `make mutation`.

The tests that run a changed place run in a fork of this process, which has imported all libraries, with a copy of the
sources. Verdicts are kept in build/mutation and not asked for again: a killed mutant's while its function stays as it
is, a survivor's while its tests do, too. So a run can be ended at any moment, and the same command goes on.
"""

from __future__ import annotations

import argparse
import csv
import gc
import importlib
import json
import math
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from covering import Covering, content, file_of, record
from mutants import Mutant, change, drawn, lines_run, mutants_of
from mutmut.configuration import config

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "build" / "mutation"
SOURCE = FOLDER / "src"
LOG = FOLDER / "log"
VERDICTS = FOLDER / "verdicts.jsonl"
SECONDS = 20  # of a mutant's tests; they are stopped after that and five times what they took, CPU time
OPTIONS = ["--quiet", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={FOLDER / 'tmp'}"]


class Chosen:
    """A plugin of pytest that leaves some tests, in their order."""

    def __init__(self, tests: dict[str, float]) -> None:
        self.order = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self.order]
        items[:] = sorted(chosen, key=lambda item: self.order[item.nodeid])


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def forked(work: Callable[[], int], seconds: float) -> str:
    """Do this in a process of its own; return how it ended: a number, or `timeout`."""
    if not (process := os.fork()):
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
        with LOG.open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        with suppress(BaseException):
            os._exit(work())
        os._exit(1)
    end = time.monotonic() + 6 * seconds
    try:
        while not (ended := os.waitpid(process, os.WNOHANG))[0] and time.monotonic() < end:
            time.sleep(0.02)
    finally:  # with all that it started
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    if not ended[0]:
        os.waitpid(process, 0)
    status = os.waitstatus_to_exitcode(ended[1])
    return "timeout" if not ended[0] or status in (-signal.SIGXCPU, -signal.SIGKILL) else str(status)


def verdict(mutant: Mutant, text: str, tests: dict[str, float]) -> str:
    """Return `killed`, `timeout` or `survived`."""
    file = SOURCE.parent / mutant.file
    before = file.stat()
    file.write_text(text, encoding="utf-8")
    os.utime(file, (before.st_atime, before.st_mtime + 1))  # the compiled file is of another time, so it is not used
    try:
        names = sorted({file_of(test) for test in tests})
        ended = forked(
            lambda: int(
                pytest.main([*OPTIONS, *config().pytest_add_cli_args, "--exitfirst", *names], plugins=[Chosen(tests)])
            ),
            SECONDS + 5 * sum(tests.values()),
        )
    finally:
        file.write_text(mutant.original, encoding="utf-8")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    return {"0": "survived", "5": "survived", "timeout": "timeout"}.get(ended, "killed")


def failed() -> str:
    """Return the test that failed last, from what pytest said."""
    return next(iter(re.findall(r"^(?:FAILED|ERROR) (\S+)", LOG.read_text(errors="replace"), re.MULTILINE)), "")


def covering() -> Covering:
    """Return which tests run what, after running those for which it is not known."""
    chosen = [PROJECT / name for name in config().pytest_add_cli_args_test_selection]
    files = sorted(f for path in chosen for f in (path.rglob("test_*.py") if path.is_dir() else [path]))
    found = Covering(FOLDER / "covering.json", SOURCE, [f.relative_to(PROJECT).as_posix() for f in files])
    if found.missing:
        say(f"Running the tests of {len(found.missing)} files under coverage")
        result = FOLDER / "recorded.json"
        forked(lambda: record(found.missing, SOURCE, result, [*OPTIONS, *config().pytest_add_cli_args]) or 0, 36000)
        found.add(result)
    for each in found.files.values():
        for test in each["failed"]:
            say(f"left out, does not pass by itself: {test}")
    return found


def prepare() -> None:
    """Copy the sources, and let this process and its children find the copy."""
    os.chdir(PROJECT)
    shutil.copytree("src", SOURCE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    sys.path.insert(0, str(SOURCE))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    hypothesis.settings.register_profile("mutation", deadline=None, derandomize=True, database=None)
    hypothesis.settings.load_profile("mutation")


def preload(modules: list[str]) -> None:
    """Import the libraries, so that the forks need not."""
    for name in modules:
        with suppress(BaseException):
            importlib.import_module(name)
    assert not any(name.partition(".")[0] == "tagdistill" for name in sys.modules)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    gc.freeze()


@cache
def stored() -> dict[str, dict[str, Any]]:
    """Return the last verdict on each mutant that was tried; a line that was being written is left out."""
    lines = VERDICTS.read_text(encoding="utf-8").splitlines(keepends=True) if VERDICTS.exists() else []
    return {each["key"]: each for each in (json.loads(line) for line in lines if line.endswith("\n"))}


@cache
def reasons() -> dict[tuple[str, str, str], str]:
    """Return why some mutants are equivalent, by file and lines before and after."""
    with (Path(__file__).parent / "equivalent.tsv").open(encoding="utf-8", newline="") as lines:
        return {
            (row["file"], row["before"], row["after"]): row["reason"] for row in csv.DictReader(lines, delimiter="\t")
        }


def tried_out(mutant: Mutant, known: Covering) -> dict[str, Any]:
    """Return the verdict on a mutant, the stored one where it still holds, with its change and why it is equivalent."""
    place = change(mutant.original, text := mutant.text)
    reason = reasons().get((mutant.file, place.before, place.after), "")
    file, lines = mutant.file.removeprefix("src/"), lines_run(mutant.original, place)
    first, every = known.tests(file, lines, SECONDS), known.tests(file, lines, math.inf)
    rest = {test: seconds for test, seconds in every.items() if test not in first}
    state = content(Path(name) for name in sorted(set(map(file_of, every))))
    result = stored().get(mutant.key)
    if not result or (result["verdict"] == "survived" and result["tests"] != state and not reason):
        begin = time.monotonic()
        how, by = "survived", "no test runs it"
        for tests in filter(None, (first, rest)):  # most mutants do not get past the first
            if how == "survived":
                how, by = verdict(mutant, text, tests), failed()
        seconds = round(time.monotonic() - begin, 1)
        result = {"key": mutant.key, "verdict": how, "by": by, "tests": state, "seconds": seconds}
        with VERDICTS.open("a", encoding="utf-8") as log:
            log.write(json.dumps(result) + "\n")
        said = f"{place.before} -> {place.after}" if how == "survived" else by
        say(f"{mutant.file}:{place.first} {how} {said}")
    where = {"file": mutant.file, "line": place.first, "before": place.before, "after": place.after}
    return {**where, "verdict": result["verdict"], "reason": reason}


def main() -> None:
    """Try the mutants that are drawn and write all verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="file to write, with all that was tried when it ends or is interrupted")
    parser.add_argument("--mutants", type=int, default=0, help="how many, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    output = options.json.resolve()
    prepare()
    every = mutants_of(PROJECT)
    known = covering()
    preload(known.modules)
    tried: list[dict[str, Any]] = []
    try:
        for mutant in drawn(every, options.mutants, options.seed):
            tried.append(tried_out(mutant, known))
    finally:  # also of a run that is interrupted
        files = dict(Counter(mutant.file for mutant in every))
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(
            json.dumps({"mutants": files, "seed": options.seed, "tried": tried}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
