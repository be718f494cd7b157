"""Uploads to the Hugging Face Hub, to a server of this machine that answers as the Hub does."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_taggers import exported

from tagdistill.errors import TagdistillError
from tagdistill.export.push import push


class Hub(BaseHTTPRequestHandler):
    """One repository; `files` holds what was committed."""

    files: dict[str, bytes]
    stored: dict[str, bytes]
    private: list[bool]
    token = "hf_test"

    def do_GET(self) -> None:
        self._answer(404, {"error": "Repository not found"})

    def do_PUT(self) -> None:
        self.stored[self.path.rpartition("/")[2]] = self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        body, path = self._body(), self.path.partition("?")[0]
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            self._answer(401, {"error": "Invalid user token."})
        elif path == "/api/repos/create":
            self.private.append("private" in json.loads(body).values() or json.loads(body).get("private", False))
            self._answer(200, {"url": f"{self.address}/me/student", "name": "me/student"})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            modes = {file["path"]: "lfs" if file["path"].endswith(".onnx") else "regular" for file in files}
            self._answer(
                200, {"files": [{"path": x, "uploadMode": mode, "shouldIgnore": False} for x, mode in modes.items()]}
            )
        elif path.endswith("/info/lfs/objects/batch"):
            self._answer(200, {"transfer": "basic", "objects": [self._place(x) for x in json.loads(body)["objects"]]})
        elif path.endswith("/commit/main"):
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._answer(404, {"error": path})

    def _place(self, wanted: dict[str, object]) -> dict[str, object]:
        return {**wanted, "actions": {"upload": {"href": f"{self.address}/lfs/{wanted['oid']}", "header": {}}}}

    def _commit(self, lines: list[dict]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                self.files[value["path"]] = self.stored[value["oid"]]
        self._answer(200, {"commitUrl": f"{self.address}/me/student/commit/{'0' * 40}", "commitOid": "0" * 40})

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, values: object) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub():
    handler = type("Own", (Hub,), {"files": {}, "stored": {}, "private": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    folder = exported(tmp_path_factory.mktemp("student"))
    (folder / ".snakemake_timestamp").touch()
    return folder


def run(address: str, *words: str, token: str = Hub.token) -> subprocess.CompletedProcess[str]:
    environment = {
        "HF_ENDPOINT": address,
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-m", "tagdistill", "push", *words]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_folder_is_uploaded_whole(student, hub):
    handler, address = hub
    done = run(address, str(student), "me/student", "--private")
    assert done.returncode == 0, done.stderr
    assert "HTTP Request" not in done.stderr
    assert done.stdout.strip() == f"{address}/me/student/commit/{'0' * 40}" and handler.private == [True]
    expected = {file.name: file.read_bytes() for file in student.iterdir() if not file.name.startswith(".")}
    assert {name: hashlib.sha256(held).digest() for name, held in handler.files.items()} == {
        name: hashlib.sha256(held).digest() for name, held in expected.items()
    }
    assert "fp32.onnx" in handler.files and "README.md" in handler.files


def test_what_the_hub_refuses_is_told_in_two_lines(student, hub):
    handler, address = hub
    done = run(address, str(student), "me/student", token="hf_other")
    assert done.returncode == 1 and done.stdout == "" and handler.files == {}
    assert (
        done.stderr.startswith("error: me/student: the Hub does not take it: ")
        and "401" in done.stderr
        and "hf auth login" in done.stderr
    )
    assert "Traceback" not in done.stderr and "hf_other" not in done.stderr


def test_where_there_is_no_network_nobody_is_told_to_log_in(student):
    done = run("http://no-such-host.invalid", str(student), "me/student")
    assert done.returncode == 1 and done.stderr.startswith("error: me/student: the Hub is not reached: ")
    assert "network" in done.stderr and "log" not in done.stderr.lower() and "Traceback" not in done.stderr


@pytest.mark.parametrize("broken", ["missing", "empty", "card", "graph"])
def test_a_folder_that_is_not_whole_is_not_pushed(student, tmp_path, broken):
    folder = tmp_path / "student"
    if broken != "missing":
        folder.mkdir()
    if broken in ("card", "graph"):
        for file in student.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        if broken == "card":
            (folder / "README.md").unlink()
        else:
            (folder / "fp32.onnx").write_bytes(b"")
    with pytest.raises(TagdistillError) as refused:
        push(folder, "me/student")
    assert str(refused.value).startswith(str(folder))


def test_how_a_folder_of_exports_is_made_is_said_where_it_is_missing(tmp_path):
    with pytest.raises(TagdistillError, match=r"no such folder\n  `snakemake export --cores 2 .* `name` is mine\.$"):
        push(tmp_path / "results" / "mine" / "export" / "posterior" / "seed-0", "me/student")
    with pytest.raises(TagdistillError, match=r"no such folder$"):
        push(tmp_path / "copied" / "mine" / "export" / "posterior" / "seed-0", "me/student")


@pytest.mark.parametrize("name", ["student", "me/", "me/a b", "https://example.com/me/a", "-x/y"])
def test_what_is_no_name_of_a_repository_is_refused(student, name):
    with pytest.raises(TagdistillError, match="OWNER/NAME"):
        push(student, name)
