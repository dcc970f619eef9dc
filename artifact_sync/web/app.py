"""Routes: webhook, health, readiness, status and metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.web.log_throttle import LogThrottle
from artifact_sync.web.prometheus import CONTENT_TYPE, render, snapshot
from artifact_sync.web.single_flight import SingleFlight, TimedOut
from artifact_sync.web.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from artifact_sync.domain.ports import Clock
    from artifact_sync.web.context import WebContext

    Handler = Callable[[Request], Awaitable[Response]]

_log = get_logger(__name__)

_CACHED = 1.0
"""Seconds for which an expensive answer is cached."""

_TIMED_OUT = "no answer in time: the ledger or a disk is slow, or hangs; ask again later"


class Endpoint(NamedTuple):
    """A path that is answered."""

    method: str
    path: str
    answers: str
    """The answers and when they are given."""


WEBHOOK = Endpoint(
    "POST", "/hooks/sourcecraft", "202 or 200 for a signed event, else 4xx or 503 with an `error`."
)
HEALTH = Endpoint("GET", "/healthz", "200 `ok` while the daemon's event loop runs.")
READINESS = Endpoint(
    "GET",
    "/readyz",
    "200 `ready`, and a line for each repository of which artifacts vanished before they were"
    " mirrored, or of which files are lost. 503 with a line for each reason: the ledger or the"
    " service cannot be reached, the disk is full or gone, a repository lags by more than"
    " `daemon.lag_alert`, what fails to be fetched vanishes within two days, or the first listing"
    " has not been tried yet.",
)
STATUS = Endpoint(
    "GET",
    "/api/status",
    "200 with the JSON of `status --json`. 503 and why: the ledger cannot be read, or not in time.",
)
SCRAPE = Endpoint("GET", "/metrics", "200 with the metrics in Prometheus' text format.")
ENDPOINTS = (WEBHOOK, HEALTH, READINESS, STATUS, SCRAPE)


def application(context: WebContext) -> ASGIApp:
    """The ASGI application of a daemon."""
    answers = _handlers(context)
    routes = [Route(it.path, answers[it], methods=[it.method]) for it in ENDPOINTS]
    app = Starlette(routes=routes, exception_handlers={Exception: _Bugs(context.clock).answer})
    app.router.redirect_slashes = False  # it would redirect to whatever Host says

    async def tolerant(scope: Scope, receive: Receive, send: Send) -> None:
        async def deliver(message: Message) -> None:
            try:
                await send(message)
            except Exception as error:  # noqa: BLE001 - the connection has ended meanwhile
                _log.debug("an answer could not be sent", why=repr(error))

        await app(scope, receive, deliver)

    return tolerant


def _handlers(context: WebContext) -> Mapping[Endpoint, Handler]:
    pages = _Pages(context)
    return {
        WEBHOOK: Webhook(context).answer,
        HEALTH: pages.health,
        READINESS: pages.ready,
        STATUS: pages.status,
        SCRAPE: pages.metrics,
    }


class _Pages:
    """The pages for GET requests."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._timeout = context.limits.answer
        self._readiness = SingleFlight(context.daemon.unready, context.clock)
        self._status = SingleFlight(self._status_json, context.clock, _CACHED)
        self._metrics = SingleFlight(self._scrape, context.clock, _CACHED)

    async def health(self, _: Request) -> Response:
        """The event loop runs."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Whether the daemon is ready, or why not."""
        try:  # the daemon's own timeout is shorter, and its answer has more to say
            reasons = await self._readiness.answer(2 * self._timeout, request)
        except TimedOut:
            reasons = [_TIMED_OUT]
        if reasons:
            return PlainTextResponse(_lines(reasons), 503)
        return PlainTextResponse(_lines(["ready", *self._context.daemon.missed()]))

    async def status(self, request: Request) -> Response:
        """The object of ``artifact-sync status --json``."""
        return await self._shared(self._status, request, "application/json")

    async def metrics(self, request: Request) -> Response:
        """The metrics in Prometheus' text format."""
        return await self._shared(self._metrics, request, CONTENT_TYPE)

    async def _shared(self, flight: SingleFlight[Any], request: Request, kind: str) -> Response:
        try:
            text = await flight.answer(self._timeout, request)
        except TimedOut:
            return PlainTextResponse(_lines([_TIMED_OUT]), 503)
        except ArtifactSyncError as error:
            return PlainTextResponse(_lines([str(error)]), 503)
        return Response(text, headers={"content-type": kind})

    async def _status_json(self) -> str:
        return json.dumps(await self._context.daemon.status()) + "\n"

    async def _scrape(self) -> bytes:
        context = self._context
        fleet = await context.fleet()
        taken = snapshot(context.metrics, context.gauges, context.daemon.live(), fleet)
        return await context.threads(render, taken)


def _lines(reasons: Iterable[str]) -> str:
    return "".join(f"{printable(reason)}\n" for reason in reasons)


class _Bugs:
    """Answers requests that failed unforeseen; logs one a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._throttle = LogThrottle()

    async def answer(self, _: Request, error: Exception) -> Response:
        if times := self._throttle.due(self._clock.monotonic()):
            text = "an HTTP request failed in a way that is a bug"
            _log.error(text, times=times, exc_info=error)
        return PlainTextResponse("internal error; see the log\n", 500)
