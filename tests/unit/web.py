"""A web server on this machine that a test fills: files, statuses, redirects, answers that break off or never come."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """What the test put at a path, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | int] = {}  # the body, or a status alone
        self.moved: dict[str, str] = {}  # redirects to another path
        self.breaks: Counter[str] = Counter()  # how many answers of a path break off half way
        self.silent: Counter[str] = Counter()  # how many requests get no answer until `awake`
        self.continues = True  # whether parts are given
        self.weak = False  # whether its marks promise equal bytes
        self.asked: list[str] = []
        self.ranges: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.awake = threading.Event()
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        web, path = self.web, self.path
        web.asked.append(path)
        web.headers.append(dict(self.headers))
        if web.silent[path] > 0:
            web.silent[path] -= 1
            web.awake.wait(10)
            return
        if path in web.moved:
            self.send_response(302)
            self.send_header("Location", web.moved[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = web.files.get(path, 404)
        if isinstance(body, int):
            self.send_error(body)
            return
        self._body(body)

    def _body(self, body: bytes) -> None:
        web, path = self.web, self.path
        mark = ("W/" if web.weak else "") + f'"{hashlib.sha256(body).hexdigest()[:8]}"'
        begin = self._begin(body, mark)
        if self._nothing_after(begin, body):
            return
        self.send_response(206 if begin else 200)
        self.send_header("ETag", mark)
        self.send_header("Content-Length", str(len(body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        rest = body[begin:]
        if web.breaks[path] > 0:
            web.breaks[path] -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def _begin(self, body: bytes, mark: str) -> int:
        asked = self.headers.get("Range")
        if not asked:
            return 0
        self.web.ranges.append(asked)
        same = self.headers.get("If-Range") == mark
        return int(asked.removeprefix("bytes=").rstrip("-")) if self.web.continues and same else 0

    def _nothing_after(self, begin: int, body: bytes) -> bool:
        if begin < len(body):
            return False
        self.send_error(416)
        return True

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Web]:
    """Yield a server that runs; `url` is its address."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"web": web}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        web.awake.set()
        server.shutdown()
        server.server_close()
        thread.join()
