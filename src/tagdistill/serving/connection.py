"""Connections have a number of places; those whose clients do nothing are ended, so that they leave room for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

IDLE = 10.0  # seconds without a request, or without reading any of an answer


class Room:
    """The places for connections; `waiting` holds those without a whole request, the one that waits longest first."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.waiting: dict[Connection, None] = {}


class Connection(H11Protocol):
    """A connection that is looked at from time to time; uvicorn's own bounds begin with the first request.

    Where all places are taken, a new connection gets that of the one that waits longest; where none waits, it is ended.
    """

    _watch: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, room: Room, **options: Any) -> None:
        super().__init__(*args, **options)
        self._room = room

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find a place for the connection, and begin to look at it."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(IDLE, self._look, self._state())
        self._room.waiting[self] = None
        if len(self.connections) > self._room.places:
            next(iter(self._room.waiting))._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking at it."""
        if self._watch is not None:
            self._watch.cancel()
        self._room.waiting.pop(self, None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Answer what has come."""
        super().handle_events()
        self._note()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._note()

    def _note(self) -> None:
        """Keep up the list of those that wait; a connection that waits already keeps its turn."""
        waits = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        if waits and not self.transport.is_closing():
            self._room.waiting.setdefault(self, None)
        else:
            self._room.waiting.pop(self, None)

    def _leave(self) -> None:
        """Give up the place at once: the end of the connection is told later."""
        self._room.waiting.pop(self, None)
        self.connections.discard(self)
        self.transport.abort()

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
