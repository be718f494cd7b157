"""Which tests run which lines: each test runs once under coverage, with a context of its own.

What a test's fixtures run counts for all tests of its file: some are made once a module.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import coverage
import pytest


class Recorder:
    """A plugin of pytest that tells coverage which test is running, and notes times and failures."""

    def __init__(self, recording: coverage.Coverage) -> None:
        self.recording = recording
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.recording.switch_context(file_of(item.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self.recording.switch_context(item.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        self.recording.switch_context(file_of(item.nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)


def file_of(test: str) -> str:
    """Return the file of a test, given as pytest names it."""
    return test.partition("::")[0]


def content(files: Iterable[Path]) -> str:
    """Return a checksum of the content of files."""
    return hashlib.sha256("".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files).encode()).hexdigest()


def record(files: list[str], source: Path, result: Path, options: list[str]) -> None:
    """Run the tests of these files and write what each file's tests ran; for a process of its own."""
    recording = coverage.Coverage(data_file=None, source=[str(source)], messages=False)
    recorder = Recorder(recording)
    recording.start()
    pytest.main([*options, *files], plugins=[recorder])
    recording.stop()
    data = recording.get_data()
    found: dict[str, dict[str, Any]] = {
        file: {
            "content": content([Path(file)]),
            "seconds": {test: time for test, time in recorder.seconds.items() if file_of(test) == file},
            "failed": sorted(test for test in recorder.failed if file_of(test) == file),
            "lines": defaultdict(lambda: defaultdict(list)),
        }
        for file in files
    }
    for name in data.measured_files():
        for line, tests in data.contexts_by_lineno(name).items():
            for test in filter(None, tests):
                found[file_of(test)]["lines"][Path(name).relative_to(source).as_posix()][line].append(test)
    installed = [name for name, module in sys.modules.items() if "site-packages" in str(vars(module).get("__file__"))]
    result.write_text(json.dumps({"files": found, "modules": installed}), encoding="utf-8")


class Covering:
    """The stored record, brought up to date: only tests of changed files run again, or all if anything else changed."""

    def __init__(self, store: Path, source: Path, tests: list[str]) -> None:
        self.store, self.source = store, source
        helpers = [
            file for file in Path("tests").rglob("*.py") if not file.match("test_*") and "mutation" not in file.parts
        ]
        self.rest = content(sorted([*source.rglob("*.py"), *helpers]))
        stored = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
        same = stored.get("rest") == self.rest
        self.files = {file: each for file, each in stored.get("files", {}).items() if same and file in tests}
        self.modules: list[str] = stored.get("modules", [])
        self.missing = [f for f in tests if self.files.get(f, {}).get("content") != content([Path(f)])]

    def add(self, result: Path) -> None:
        """Take over what `record` wrote."""
        new = json.loads(result.read_text(encoding="utf-8"))
        self.files |= new["files"]
        self.modules = list(dict.fromkeys([*self.modules, *new["modules"]]))
        whole = {"rest": self.rest, "files": self.files, "modules": self.modules}
        self.store.write_text(json.dumps(whole), encoding="utf-8")
        self.missing = []

    def tests(self, file: str, lines: Iterable[int], seconds: float) -> dict[str, float]:
        """Return tests that run one of these lines, with their seconds: so many seconds of them.

        First come quick tests of files most of whose tests run them. Tests that fail by themselves are left out.
        """
        found: list[tuple[float, str, float, str]] = []
        for name, each in self.files.items():
            own = each["lines"].get(file, {})
            hits = {test for line in lines for test in own.get(str(line), [])}
            if any("::" not in test for test in hits):
                hits = set(each["seconds"])
            hits -= set(each["failed"])
            found += [(-len(hits) / len(each["seconds"]), name, each["seconds"][test], test) for test in hits]
        chosen: dict[str, float] = {}
        for *_, own_seconds, test in sorted(found):
            if not chosen or sum(chosen.values()) + own_seconds <= seconds:
                chosen[test] = own_seconds
        return chosen
