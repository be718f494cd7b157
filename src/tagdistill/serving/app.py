"""The application: its paths, and a request's way through the queue."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from tagdistill import __version__
from tagdistill.serving.guard import Guard, refused
from tagdistill.serving.metrics import CONTENT_TYPE, Metrics
from tagdistill.serving.page import add_page
from tagdistill.serving.queue import Job, Queue
from tagdistill.serving.refusals import Refusal, defect, stopping
from tagdistill.serving.requests import parse, request_model
from tagdistill.serving.schemas import REFUSALS, ModelResponse, Status, TagResponse
from tagdistill.serving.worker import Worker

if TYPE_CHECKING:
    from tagdistill.serving.limits import Limits
    from tagdistill.tagger.tagger import Tagger

JSON = "application/json"
GONE = 499  # in the metrics, as other servers call it
ABOUT = (
    "Labels text with a student. Errors are JSON: `error` has `code`, `message`, and where it helps `field` and `hint`."
)


class Service:
    """A model with all that serves it in one process."""

    def __init__(self, tagger: Tagger, limits: Limits) -> None:
        self.tagger, self.limits = tagger, limits
        self.metrics, self.queue = Metrics(), Queue(limits)
        self.metrics.watch(self.queue)
        self.worker = Worker(tagger, self.queue, self.metrics)
        self.body = request_model(limits)
        self.accepted = self.answered = 0
        self.app = Guard(_application(self), limits)

    def start(self) -> None:
        """Be ready for requests."""
        self.worker.warm_up()
        self.worker.start()

    def stop(self) -> None:
        """Accept nothing more, and label what was accepted; to be called in the event loop."""
        self.app.stop()
        self.queue.close()
        asyncio.get_running_loop().call_later(self.limits.stop, self.worker.abandon)

    @property
    def ready(self) -> bool:
        """Whether requests are accepted."""
        return self.worker.is_alive() and not self.queue.closed

    async def tag(self, request: HttpRequest) -> Response:
        """Answer a request to label texts."""
        begin = time.perf_counter()
        try:
            response = Response(await self._labelled(request), media_type=JSON)
        except Refusal as why:
            response = refused(why)
        if response.status_code == GONE:
            self.metrics.gone()
        self.metrics.answered(response.status_code, time.perf_counter() - begin)
        return response

    async def _labelled(self, request: HttpRequest) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            hint = f"Send the header `Content-Type: {JSON}`."
            raise Refusal(415, "not_json", f"the content type is {kind!r}", where="Content-Type", hint=hint)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            what, hint = f"the body is encoded as {encoding!r}", "Send it as it is, without `Content-Encoding`."
            raise Refusal(415, "encoded", what, where="Content-Encoding", hint=hint)
        texts, options = parse(self.body, await request.body(), self.limits)
        if not self.worker.is_alive():
            raise stopping()
        if not texts:
            return b'{"results":[]}'
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Job] = loop.create_future()

        def done(job: Job) -> None:
            loop.call_soon_threadsafe(_settle, found, job)

        job = Job(texts, options, done)
        self.queue.submit(job)
        self.accepted += 1
        await self._settled(found, job, request)
        if job.failure is not None:
            raise job.failure
        return b'{"results":[' + b",".join(job.answers) + b"]}"

    async def _settled(self, found: asyncio.Future[Job], job: Job, request: HttpRequest) -> None:
        """Wait for the labels, but not for those of a client that has gone, nor for ever."""
        gone: asyncio.Future[Any] = asyncio.ensure_future(
            request.receive()
        )  # the body is read: what comes is the end of the connection
        try:
            waited: set[asyncio.Future[Any]] = {found, gone}
            await asyncio.wait(waited, timeout=self.limits.reply, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            job.cancelled = True
        self.answered += 1
        if found.done():
            return
        if gone.done():
            raise Refusal(GONE, "gone", "the client went away")  # nobody reads it
        what = f"not labelled within {self.limits.reply:g} seconds"
        raise Refusal(503, "timeout", what, hint="Send fewer texts in a request.", retry_after=self.queue.waiting)


def _settle(found: asyncio.Future[Job], job: Job) -> None:
    if not found.done():
        found.set_result(job)


def _application(service: Service) -> FastAPI:
    """Return the application; no page of it asks another site for anything, so there is no page of its description."""
    app = FastAPI(
        title="tagdistill",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would send clients to whatever their header `Host` says
    )
    schema = {"requestBody": {"required": True, "content": {JSON: {"schema": service.body.model_json_schema()}}}}
    app.post("/v1/tag", response_model=TagResponse, responses=REFUSALS, openapi_extra=schema, summary="Label texts")(
        service.tag
    )
    about = _about(service.tagger, service.limits)

    @app.get("/v1/model", summary="The model")
    async def model() -> ModelResponse:
        return about

    @app.get("/health", summary="Whether the process works", responses={503: {"model": Status}})
    async def health() -> Response:
        return _status(service.worker.is_alive() or service.queue.closed, "ok", "the labelling thread has ended")

    @app.get("/ready", summary="Whether requests are accepted", responses={503: {"model": Status}})
    async def ready() -> Response:
        return _status(service.ready, "ready", "stopping")

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    add_page(app)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)
    return app


def _about(tagger: Tagger, limits: Limits) -> ModelResponse:
    return ModelResponse(
        task=tagger.task,
        labels=list(tagger.labels),
        decode=tagger.decode,
        version=__version__,
        limits=asdict(limits),
    )


def _status(well: bool, yes: str, no: str) -> Response:
    return JSONResponse({"status": yes if well else no}, 200 if well else 503)


async def _defect(_: HttpRequest, __: Exception) -> Response:
    return refused(defect())  # `Guard` logs it


async def _http_error(_: HttpRequest, error: Any) -> Response:
    """Answer with JSON where there is no such path or method."""
    response = refused(Refusal(error.status_code, "http", str(error.detail)))
    response.headers.update(error.headers or {})
    if response.headers.get("allow") == "GET":
        response.headers["allow"] = "GET, HEAD"  # which `Guard` takes as GET
    return response
