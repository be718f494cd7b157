"""The process that serves: its socket, its signals, and its end."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from tagdistill.errors import TagdistillError
from tagdistill.formatting import count
from tagdistill.serving.app import Service
from tagdistill.serving.connection import Connection, Room
from tagdistill.serving.descriptors import connection_limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tagdistill.serving.limits import Limits
    from tagdistill.tagger.tagger import Tagger

log = logging.getLogger(__name__)
LAST_WORDS = 1.0  # seconds to send answers, after all are there
BACKLOG = 512  # connections that wait to be accepted
AT_ONCE = 16  # connections that are accepted before the first of them is counted


class Server(uvicorn.Server):
    """A server that tells the service when it is told to stop, and ends as one that was asked to."""

    def __init__(self, service: Service, address: str = "") -> None:
        limits = service.limits
        config = uvicorn.Config(
            service.app,
            http=partial(Connection, room=Room(limits.connections)),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=AT_ONCE,
            timeout_graceful_shutdown=round(limits.stop + LAST_WORDS),
        )
        super().__init__(config)
        self.stop, self.address = service.stop, address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets=sockets)
        for place in sockets or []:
            place.listen(BACKLOG)  # asyncio has one number for those that wait and those accepted at once
        log.info("serving on %s", self.address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal; a second one ends the process at once."""
        if not self.should_exit:
            log.info("%s: answering what was accepted", signal.Signals(sig).name)
            asyncio.get_running_loop().call_soon_threadsafe(self.stop)
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again, and the exit code would be an error's


def serve(open_tagger: Callable[[], Tagger], *, host: str, port: int, limits: Limits) -> None:
    """Serve a model until a signal ends it.

    Raises TagdistillError where the address cannot be used or the model cannot be opened, before anything is served.
    """
    with listening(host, port) as place:
        service = Service(open_tagger(), _possible(limits))
        service.start()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # ours says it all
        address = f"[{host}]" if ":" in host else host
        if not _is_loopback(place.getsockname()[0]):
            log.warning("warning: every machine that reaches this address can use the service; it asks for no password")
        begin = time.monotonic()
        Server(service, f"http://{address}:{place.getsockname()[1]}").run(sockets=[place])
        seconds = time.monotonic() - begin
        log.info("stopped after %.0f s: %s accepted, %s answered", seconds, *_counts(service))


def listening(host: str, port: int) -> socket.socket:
    """Return a socket of an address, which does not listen yet. Raises TagdistillError where it cannot be used."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise TagdistillError(f"no such address: {error.strerror}", where=f"--host {host}") from error
    except UnicodeError as error:  # a label of the name is empty or too long
        raise TagdistillError("no such address: no name of a machine", where=f"--host {host}") from error
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        raise _unusable(error, host, port) from error
    return found


def _possible(limits: Limits) -> Limits:
    """Return limits with no more connections than the process may open files, and say where these are fewer."""
    most = connection_limit(limits.connections)
    if most < limits.connections:
        log.warning("warning: %s at most, not %d: `ulimit -n` is low", count(most, "connection"), limits.connections)
    return replace(limits, connections=most)


def _unusable(error: OSError, host: str, port: int) -> TagdistillError:
    if error.errno == errno.EADDRNOTAVAIL:
        hint = "Choose another --host: 127.0.0.1 serves this machine alone, 0.0.0.0 all its addresses."
        return TagdistillError("is no address of this machine", where=f"--host {host}", hint=hint)
    hint = "Choose another --port; 0 takes one that is free."
    return TagdistillError(f"cannot be used: {error.strerror}", where=f"{host}:{port}", hint=hint)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _counts(service: Service) -> tuple[str, str]:
    return count(service.accepted, "request"), count(service.answered, "request")
