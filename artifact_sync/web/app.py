"""What is answered under which path. The webhook is ``webhook``'s, sockets are ``server``'s."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable
from artifact_sync.web.prometheus import CONTENT_TYPE, render, snapshot
from artifact_sync.web.single_flight import Late, SingleFlight
from artifact_sync.web.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from artifact_sync.web.context import WebContext

_log = get_logger(__name__)

_GOOD_FOR = 1.0
"""Seconds for which one answer of what costs something is everybody's."""

_LATE = "no answer in time: the ledger or a disk is slow, or hangs; ask again later"


def application(front: WebContext) -> Starlette:
    """The ASGI application of a daemon."""
    pages = _Pages(front)
    routes = [
        Route("/hooks/sourcecraft", Webhook(front).answer, methods=["POST"]),
        Route("/healthz", pages.health, methods=["GET"]),
        Route("/readyz", pages.ready, methods=["GET"]),
        Route("/api/status", pages.status, methods=["GET"]),
        Route("/metrics", pages.metrics, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={Exception: _bug})
    app.router.redirect_slashes = False  # it would redirect to whatever Host says
    return app


class _Pages:
    """What can be looked at."""

    def __init__(self, front: WebContext) -> None:
        self._front = front
        self._patience = front.limits.answer
        self._readiness = SingleFlight(front.desk.unready, front.clock)
        self._status = SingleFlight(self._tell, front.clock, _GOOD_FOR)
        self._metrics = SingleFlight(self._scrape, front.clock, _GOOD_FOR)

    async def health(self, _: Request) -> Response:
        """The event loop turns."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Whether to rely on the daemon, and why not."""
        try:  # the desk has its own limit, and more to say
            reasons = await self._readiness.answer(request, 2 * self._patience)
        except Late:
            reasons = [_LATE]
        if reasons:
            return PlainTextResponse(_lines(reasons), 503)
        return PlainTextResponse("ready\n")

    async def status(self, request: Request) -> Response:
        """What ``artifact-sync status --json`` shows."""
        try:
            text = await self._status.answer(request, self._patience)
        except Late:
            return PlainTextResponse(_lines([_LATE]), 503)
        except ArtifactSyncError as error:
            return PlainTextResponse(_lines([str(error)]), 503)
        return Response(text, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        try:
            text = await self._metrics.answer(request, self._patience)
        except Late:
            return PlainTextResponse(_lines([_LATE]), 503)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def _tell(self) -> str:
        return json.dumps(await self._front.desk.status()) + "\n"

    async def _scrape(self) -> bytes:
        """Take the metrics, and put them into words on another thread."""
        front = self._front
        shown = snapshot(front.metrics, front.gauges, front.desk.live())
        return await front.chores(render, shown)


def _lines(reasons: Iterable[str]) -> str:
    """A reason a line, whatever somebody else's words in it hold."""
    return "".join(f"{printable(reason)}\n" for reason in reasons)


async def _bug(_: Request, error: Exception) -> Response:
    _log.error("an HTTP request failed in a way that is a bug", exc_info=error)
    return PlainTextResponse("internal error; see the log\n", 500)
