"""What stands before the application: bounded bodies, headers of all answers, and defects without the text."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tagdistill.serving.refusals import Refusal, defect, stopping

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tagdistill.serving.limits import Limits

log = logging.getLogger(__name__)
# No page of another site may show this one, and this one asks no other site for anything.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
HEADERS = {
    "content-security-policy": f"{POLICY}; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
TOO_LARGE = 413
DISCARDED = 2**24  # bytes of a body that is too large, so that its client reads the answer before the connection ends


class Guard:
    """Reads a request's body before the application runs, up to a size and a time."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.stopped = False
        self._reading: set[asyncio.Timeout] = set()

    def stop(self) -> None:
        """Wait for no body any longer: what is not there yet is not accepted."""
        self.stopped = True
        for timeout in self._reading:
            timeout.reschedule(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *ENCODED]
            await send(message)

        try:
            await self.app(_as_get(scope), _replay(await self._body(scope, receive), receive), marked)
        except Refusal as why:
            await _refuse_early(why, receive, marked)
        except ClientGone:
            return
        except Exception as error:
            log_defect(error)
            if not started:
                await refused(defect())(scope, receive, marked)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most, headers = self.limits.body_bytes, dict(scope["headers"])
        if int(headers.get(b"content-length", b"0")) > most:  # h11 refuses what is no number
            raise _too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(0 if self.stopped else self.limits.body) as timeout:
                self._reading.add(timeout)
                try:
                    while (message := await receive())["type"] == "http.request":
                        parts.append(message.get("body", b""))
                        size += len(parts[-1])
                        if size > most:
                            raise _too_large(most)
                        if not message.get("more_body"):
                            return b"".join(parts)
                    raise ClientGone
                finally:
                    self._reading.discard(timeout)
        except TimeoutError:
            if self.stopped:
                raise stopping() from None
            what = f"the body did not arrive within {self.limits.body:g} seconds"
            raise Refusal(408, "too_slow", what) from None


class ClientGone(Exception):
    """A client that went away before its answer."""


def refused(why: Refusal, *, close: bool = False) -> Response:
    """Return the answer to a request that is refused."""
    headers = why.headers() | ({"connection": "close"} if close else {})
    return Response(why.body(), why.status, headers, "application/json")


def log_defect(error: BaseException) -> None:
    """Log where an error was raised; not what it says, which may quote a text."""
    where = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    log.error("%s, a bug in tagdistill: please report it with these lines\n%s", type(error).__name__, where)


def _as_get(scope: Scope) -> Scope:
    """Return a request as the application sees it: uvicorn leaves out the body of what it answers to HEAD."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _too_large(most: int) -> Refusal:
    return Refusal(TOO_LARGE, "too_large", f"the body has more than {most:,} bytes", hint="Send several requests.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that is already there, and afterwards what comes."""
    given = False

    async def replayed() -> dict[str, Any]:
        nonlocal given
        if given:
            return dict(await receive())
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _refuse_early(why: Refusal, receive: Receive, send: Send) -> None:
    """Answer before the body is there, and end the connection; a client that still sends has time to read first."""
    answer = refused(why, close=True)
    await send({"type": "http.response.start", "status": why.status, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    if why.status == TOO_LARGE:
        await _discard(receive)
    await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    left = DISCARDED
    try:
        async with asyncio.timeout(1):
            while left > 0 and (message := await receive()).get("more_body"):
                left -= len(message.get("body", b""))
    except TimeoutError:
        return  # enough time
