"""A service in a thread of the test, and requests to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tagdistill.serving.app import Service
from tagdistill.serving.limits import Limits
from tagdistill.serving.server import Server, listening

HOST, LIMITS = "127.0.0.1", Limits()
JSON = {"Content-Type": "application/json"}


class Running:
    """A service that runs; `port` is its port."""

    def __init__(self, service: Service, port: int) -> None:
        self.service, self.port = service, port

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None):
        """Return the status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def tag(self, given: Any, **options: Any) -> tuple[int, Any]:
        """Return the status and the JSON of the answer to texts, or to a body that is given as bytes."""
        body = given if isinstance(given, bytes) else json.dumps({"texts": given, **options}).encode()
        status, _, answer = self.ask("POST", "/v1/tag", body, JSON)
        return status, json.loads(answer)

    def connect(self) -> socket.socket:
        """Return a connection on which nothing was sent."""
        return socket.create_connection((HOST, self.port), timeout=20)

    def metric(self, name: str) -> float:
        """Return the value of a metric."""
        text = self.ask("GET", "/metrics")[2].decode()
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@contextmanager
def serving(tagger: Any, limits: Limits = LIMITS) -> Iterator[Running]:
    """Yield a service that labels with `tagger`."""
    service = Service(tagger, limits)
    service.start()
    place = listening(HOST, 0)
    server = Server(service)
    port = place.getsockname()[1]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve(sockets=[place])), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield Running(service, port)
    finally:
        loop.call_soon_threadsafe(service.stop)
        server.should_exit = True
        thread.join(15)
        loop.close()
