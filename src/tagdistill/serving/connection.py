"""Connections whose clients do nothing are ended, so that they leave room for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

IDLE = 10.0  # seconds without a request, or without reading any of an answer


class Connection(H11Protocol):
    """A connection that is looked at from time to time; uvicorn's own bounds begin with the first request."""

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the connection."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(IDLE, self._look, self._state())

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking at it."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self, before: tuple[object, int] | None) -> None:
        now = self._state()
        if now is not None and now == before:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(IDLE, self._look, now)

    def _state(self) -> tuple[object, int] | None:
        """Return what stays the same while the client does nothing; None while the service is at work."""
        unread = self.transport.get_write_buffer_size()
        waits = self.cycle is None or self.cycle.response_complete
        return (self.cycle, unread) if waits or unread else None
