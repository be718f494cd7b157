"""What the service answers, as its OpenAPI description states it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class SpanRecord(BaseModel):
    """A labelled part of a text."""

    label: str
    text: str
    start: int = Field(description="first character, counted in Unicode code points")
    end: int = Field(description="the character after the last")
    score: float = Field(description="probability that just these words are a span of this type")


class TaggingRecord(BaseModel):
    """One of the k best labellings of a text."""

    probability: float
    labels: list[str]
    spans: list[SpanRecord]


class TextRecord(BaseModel):
    """A labelled text: a line of `tagdistill predict --to jsonl`."""

    text: str = Field(description="as given; of words, their joining by blanks")
    tokens: list[str]
    labels: list[str] = Field(description="of each token")
    sentences: list[tuple[int, int]] = Field(description="first token, and the one after the last")
    spans: list[SpanRecord]
    split: str = Field(description="how the text was split into tokens: the model's way, or `given`")
    taggings: list[TaggingRecord] | None = Field(None, description="with `k_best`")
    marginals: list[list[float]] | None = Field(
        None, description="with `marginals`: by token, in the order of /v1/model"
    )


class TagResponse(BaseModel):
    """The texts of a request, labelled, in its order."""

    results: list[TextRecord]


class ErrorRecord(BaseModel):
    """What is wrong with a request."""

    code: str
    message: str
    field: str | None = None
    hint: str | None = None


class ErrorResponse(BaseModel):
    """The answer to a request that is refused."""

    error: ErrorRecord


class ModelResponse(BaseModel):
    """The model that labels."""

    task: str
    labels: list[str]
    decode: str
    version: str
    limits: dict[str, float]


class Status(BaseModel):
    """Whether the service runs, or is ready for requests."""

    status: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": told}
    for status, told in {
        400: "no JSON in UTF-8",
        408: "the body came too slowly",
        413: "too large",
        415: "not application/json",
        422: "a field that does not fit",
        429: "the queue is full: try again after the seconds of Retry-After",
        500: "a bug in tagdistill",
        503: "stopping, or not answered in time: try again after the seconds of Retry-After",
    }.items()
}
