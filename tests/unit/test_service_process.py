"""`tagdistill serve` as a process: how it starts, how it ends, and what it does not start with."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="no fastapi here: the service is not tested")

from tiny_taggers import exported

SECRET = "Geheimnis"


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("student"))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tagdistill", "serve", *words]


@contextmanager
def started(*words: str, files: int | None = None) -> Iterator[tuple[subprocess.Popen[str], int, list[str]]]:
    """Yield a process that is ready, its port, and the lines of its log, to which more are added."""
    bound = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh"] if files else []
    process = subprocess.Popen([*bound, *command("--port", "0", *words)], stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    try:
        assert process.stderr
        while not (lines and "serving on" in lines[-1]):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
        reader.start()
        yield process, int(lines[-1].rpartition(":")[2]), lines
        reader.join(10)
    finally:
        process.kill()
        process.wait()


def ask(port: int, text: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/v1/tag", json.dumps({"texts": text}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def failed(*words: str) -> list[str]:
    """Return the lines that a start says which fails."""
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()


@pytest.mark.parametrize("broken", ["missing", "empty", "graph", "record"])
def test_a_model_that_cannot_be_opened_ends_the_start(student, tmp_path, broken):
    folder = tmp_path / "model"
    if broken != "missing":
        folder.mkdir()
    if broken in ("graph", "record"):
        for file in student.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        name = "fp32.onnx" if broken == "graph" else "tagger.json"
        (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    lines = failed("--model", str(folder), "--port", "0")
    assert lines[0].startswith(f"error: {folder}") and len(lines) <= 2


def test_a_port_in_use_is_told_before_the_model_is_opened(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = failed("--model", str(tmp_path / "missing"), "--port", str(port))
    assert lines == [
        f"error: 127.0.0.1:{port}: cannot be used: Address already in use",
        "  Choose another --port; 0 takes one that is free.",
    ]
    # An address for documentation, which no machine has.
    assert failed("--model", str(tmp_path), "--host", "192.0.2.1", "--port", "0") == [
        "error: --host 192.0.2.1: is no address of this machine",
        "  Choose another --host: 127.0.0.1 serves this machine alone, 0.0.0.0 all its addresses.",
    ]
    assert failed("--model", str(tmp_path), "--host", "no.such.host.invalid")[0].startswith("error: --host")


def test_sigterm_under_load_loses_no_accepted_request_and_no_text_is_logged(student):
    found: list[int] = []
    with started("--model", str(student)) as (process, port, lines):

        def load() -> None:
            try:
                while True:
                    found.append(ask(port, f"{SECRET} in Paris. " * 20))
            except (OSError, http.client.HTTPException):
                return  # it is gone

        threads = [threading.Thread(target=load) for _ in range(6)]
        for thread in threads:
            thread.start()
        while len(found) < 50 and any(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - begin < 10
        for thread in threads:
            thread.join()
    accepted, answered = map(
        int, re.search(r"(\d+) requests accepted, (\d+) requests answered", "".join(lines)).groups()
    )
    assert accepted == answered == found.count(200) and set(found) <= {200, 429, 503}
    assert SECRET not in "".join(lines) and "SIGTERM: answering what was accepted" in "".join(lines)


def test_silent_connections_neither_stop_it_nor_fill_its_log(student):
    with started("--model", str(student), files=256) as (process, port, lines), ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        begin = time.monotonic()
        assert ask(port, "a") == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/model", timeout=20) as answer:
            assert json.load(answer)["limits"]["connections"] == 128
        assert time.monotonic() - begin < 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "warning: 128 connections at most, not 1000: `ulimit -n` is low" in lines[0]
    assert len(lines) == 4, "".join(lines)


def test_other_commands_do_not_import_what_serves():
    code = "import sys, tagdistill.cli.main; print([x for x in ('fastapi', 'uvicorn', 'pydantic') if x in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
