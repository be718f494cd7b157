"""The service under load, over loopback: throughput, latency at 0.5, 1 and 2 times its capacity, memory, and its stop.

    python bench/serve.py --model results/demo/export/posterior/seed-0 --data results/demo/data \
      --json build/bench/serve.json

Requests hold 1 to 32 texts, as the shares of `MIX` say, of the test sets of `--data`. Capacity is what clients get that
always have a request waiting; the loads after it are open: requests come at random times, whether others are answered
or not. The service runs on one thread, clients in the process of the measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MIX = {1: 0.7, 8: 0.2, 32: 0.1}  # texts of a request, and its share
HEAD = b"POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
Requests = list[tuple[int, bytes]]  # the number of texts, and the bytes
CLIENTS = 16  # that always have a request waiting
LOADS = (0.5, 1.0, 2.0)
MAX_REQUESTS = 40_000  # of a load
SETTLED = 0.25  # of a load's time, after which memory is looked at


def bodies(texts: list[str], count: int, draw: random.Random) -> Requests:
    """Return requests as bytes, with the number of their texts."""
    found = []
    for _ in range(count):
        size = draw.choices(list(MIX), list(MIX.values()))[0]
        body = json.dumps({"texts": draw.choices(texts, k=size)}).encode()
        head = (
            f"POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        found.append((size, head.encode() + body))
    return found


class Connections:
    """Connections that are kept, and used again."""

    def __init__(self, port: int) -> None:
        self.port, self.free = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()

    async def ask(self, request: bytes) -> int:
        """Return the status of the answer; 0 if the connection ends without one.

        One that was idle may have been ended meanwhile: then, as clients do, it is asked again on a new one.
        """
        while True:
            used = bool(self.free)
            try:
                pair = self.free.pop() if used else await asyncio.open_connection("127.0.0.1", self.port)
                pair[1].write(request)
                head = (await pair[0].readuntil(b"\r\n\r\n")).lower()
                await pair[0].readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]
            except (OSError, asyncio.IncompleteReadError):
                if used:
                    continue
                return 0
            self.free.append(pair)
            return int(head[9:12])


def private_memory(process: int) -> float:
    """Return the megabytes of memory of a process that are no file's."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


async def closed(port: int, requests: Requests, seconds: float) -> dict[str, float]:
    """Return the texts and the requests a second that clients get who always have a request waiting."""
    links, waiting = Connections(port), iter(requests)
    done, end = [0, 0], time.perf_counter() + seconds

    async def client() -> None:
        for size, request in waiting:
            if await links.ask(request) == 200:
                done[0] += size
                done[1] += 1
            if time.perf_counter() > end:
                return

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    elapsed = time.perf_counter() - begin
    return {"texts_per_second": done[0] / elapsed, "requests_per_second": done[1] / elapsed}


async def opened(port: int, process: int, requests: Requests, rate: float, seconds: float) -> dict[str, Any]:
    """Return the latencies of the answered requests that come at a rate, and the memory of the service."""
    links, draw = Connections(port), random.Random(0)
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    memory: list[tuple[float, float]] = []

    async def one(request: bytes, due: float) -> None:
        status = await links.ask(request)
        statuses[status] = statuses.get(status, 0) + 1
        if status == 200:
            latencies.append(time.perf_counter() - due)

    tasks: set[asyncio.Task[None]] = set()
    begin = due = time.perf_counter()
    for _, request in requests[:MAX_REQUESTS]:
        due += draw.expovariate(rate)
        if due - begin > seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(request, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if not memory or time.perf_counter() - memory[-1][0] > 0.5:
            memory.append((time.perf_counter(), private_memory(process)))
    await asyncio.gather(*tasks)
    settled = [held for at, held in memory if at - begin > SETTLED * seconds] or [memory[-1][1]]
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "rate": rate,
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        **{f"p{q}": quantiles[q - 1] for q in (50, 95, 99)},
        "memory_mb": statistics.median(settled),
        "memory_moves": (max(settled) - min(settled)) / statistics.median(settled) / 2,
    }


def own_rate(model: str, texts: list[str]) -> float:
    """Return the texts a second of `Tagger` in this process."""
    from tagdistill import Tagger

    tagger = Tagger.from_pretrained(model, threads=1)
    tagger(texts)
    begin = time.perf_counter()
    tagger(texts)
    return len(texts) / (time.perf_counter() - begin)


async def under_load(port: int, process: subprocess.Popen[str], requests: Requests, rate: float) -> dict[str, Any]:
    """Stop the service at twice its capacity, and return how long it took and what its clients got."""
    load = asyncio.create_task(opened(port, process.pid, requests, rate, 3.0))
    await asyncio.sleep(2.0)
    begin = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - begin
    load.cancel()
    return {"seconds": seconds, "exit_code": process.returncode}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    from machine import machine

    from tagdistill.data.corpus import read_corpus

    files = sorted(options.data.glob("*/test.parquet"))
    texts = [" ".join(tokens) for file in files for tokens in read_corpus(file).tokens[:100]]
    requests = bodies(texts, MAX_REQUESTS, random.Random(0))
    command = [sys.executable, "-m", "tagdistill", "serve", "--model", options.model, "--port", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        while "serving on" not in (line := process.stderr.readline()):
            assert line, "the service does not start"
        port = int(line.rpartition(":")[2])
        asyncio.run(closed(port, requests, options.seconds / 6))
        capacity = asyncio.run(closed(port, requests, options.seconds / 3))
        alone = own_rate(options.model, texts)
        rate = capacity["requests_per_second"]
        loads = {
            str(load): asyncio.run(opened(port, process.pid, requests, load * rate, options.seconds)) for load in LOADS
        }
        stop = asyncio.run(under_load(port, process, requests, 2 * rate))
        log = process.stderr.read()
    finally:
        process.kill()
    counts = re.search(r"([\d,]+) requests? accepted, ([\d,]+) requests? answered", log)
    stop |= dict(zip(("accepted", "answered"), counts.groups(), strict=True)) if counts else {}
    languages = len(files)
    return {
        **machine(),
        "languages": languages,
        "seconds": options.seconds,
        "alone": alone,
        **capacity,
        "loads": loads,
        "stop": stop,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of an exported student")
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared data: LANGUAGE/test.parquet")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options)
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
