"""Requests that are refused: the status, and what to do about it."""

from __future__ import annotations

import json
import math
from typing import Any

from tagdistill.errors import TagdistillError


class Refusal(TagdistillError):
    """A request that gets no labels; `where` is the field at fault, `retry_after` seconds after which to try again."""

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status, self.code, self.retry_after = status, code, retry_after

    def body(self) -> bytes:
        """Return the JSON of the answer."""
        values = {"code": self.code, "message": self.what, "field": self.where, "hint": self.hint}
        error: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        return json.dumps({"error": error}).encode()

    def headers(self) -> dict[str, str]:
        """Return the headers of the answer; seconds are whole ones, at least 1."""
        if self.retry_after is None:
            return {}
        return {"retry-after": str(max(1, math.ceil(self.retry_after)))}


def stopping() -> Refusal:
    """Return the answer of a service that was told to stop."""
    hint = "Send it again: another process answers, or this one after its start."
    return Refusal(503, "stopping", "the service is stopping", hint=hint, retry_after=1)


def defect() -> Refusal:
    """Return the answer where something went wrong that is no fault of the client."""
    return Refusal(500, "defect", "this cannot be answered: a bug in tagdistill", hint="The service's log has more.")
