"""Give a million damaged inputs to whatever reads one: each ends in a result or in an error of ours, in bounded time.

Writes what was found, made as small as Hypothesis can, into tests/fuzz/found; test_fuzz.py reads it from there.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fuzz_targets import TARGETS
from hypothesis import HealthCheck, Phase, given, seed, settings
from mutations import mutated

FOUND = Path(__file__).parent / "found"
CHUNK = 2000  # inputs between two fresh starts of Hypothesis, whose memory grows
SECONDS = 10  # for one input
MEMORY = 4 << 30  # bytes of one process


class TooSlow(Exception):
    """An input took longer than it may."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raise TooSlow within the block when it takes longer than SECONDS of processor time."""

    def stop(*_: object) -> None:
        raise TooSlow(f"longer than {SECONDS} s")

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def try_one(name: str, data: bytes, options: dict[str, Any]) -> None:
    """Give one input to a target, in an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        with bounded():
            TARGETS[name].run(data, options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(name: str, data: bytes, options: dict[str, Any], error: BaseException) -> Path:
    """Write an input that failed."""
    value = {"target": name, "options": options, "data": base64.b64encode(data).decode(), "error": repr(error)[:500]}
    text = json.dumps(value, indent=2, ensure_ascii=True) + "\n"
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(data + json.dumps(options).encode()).hexdigest()[:10]}.json"
    path.write_text(text, encoding="utf-8")
    return path


def chunk(job: tuple[str, int, int]) -> tuple[str, int, list[str]]:
    """Give `count` inputs to a target; return how many were given and the files of what failed."""
    name, number, count = job
    target, given_inputs, last = TARGETS[name], Counter[str](), {}

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(data=mutated(list(target.seeds())), options=target.options)
    def run(data: bytes, options: dict[str, Any]) -> None:
        given_inputs[name] += 1
        try:
            try_one(name, data, options)
        except BaseException:
            last["failing"] = (data, options)
            raise

    try:
        run()
    except Exception as error:
        return name, given_inputs[name], [str(keep(name, *last["failing"], error))]
    return name, given_inputs[name], []


def start() -> None:
    """Prepare a process: bounded memory, silent loggers."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)


def main() -> None:
    """Fuzz all targets and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="file to write")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    shares = sum(TARGETS[name].share for name in options.targets)
    jobs = []
    for name in options.targets:
        wanted = options.inputs * TARGETS[name].share // shares
        jobs += [(name, number, min(CHUNK, wanted - begin)) for number, begin in enumerate(range(0, wanted, CHUNK))]
    jobs.sort(key=lambda job: job[1])
    inputs, found, begin = Counter[str](), [], time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, start, maxtasksperchild=20) as pool:
        for name, count, failures in pool.imap_unordered(chunk, jobs):
            inputs[name] += count
            found += failures
            for failure in failures:
                print(failure, flush=True)  # noqa: T201
            given = sum(inputs.values())
            if given // 20_000 > (given - count) // 20_000:
                print(f"{given:,} inputs, {time.monotonic() - begin:.0f} s, {len(found)} found", flush=True)  # noqa: T201
    options.json.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "inputs": dict(inputs),
        "seconds": time.monotonic() - begin,
        "found": sorted(map(os.path.basename, found)),
    }
    options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
