"""What is answered under which path. The webhook is ``webhook``'s, sockets are ``server``'s."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from artifact_sync.web.exposition import CONTENT_TYPE, render, snapshot
from artifact_sync.web.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from artifact_sync.web.front import Front

_log = structlog.get_logger(__name__)


def application(front: Front) -> Starlette:
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

    def __init__(self, front: Front) -> None:
        self._front = front
        # What costs something is done for one client at a time.
        self._scraping = asyncio.Lock()
        self._telling = asyncio.Lock()

    async def health(self, _: Request) -> Response:
        """The event loop turns."""
        return PlainTextResponse("ok\n")

    async def ready(self, _: Request) -> Response:
        """Whether to rely on the daemon, and why not."""
        async with self._telling:
            reasons = await self._front.desk.unready()
        if reasons:
            return PlainTextResponse(_lines(reasons), 503)
        return PlainTextResponse("ready\n")

    async def status(self, _: Request) -> Response:
        """What ``artifact-sync status --json`` shows."""
        async with self._telling:
            told = await self._front.desk.status()
        return Response(json.dumps(told) + "\n", media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        """Prometheus' text format, put into words on another thread."""
        async with self._scraping:
            front = self._front
            shown = snapshot(front.metrics, front.gauges, front.desk.live())
            text = await asyncio.to_thread(render, shown)
        return Response(text, headers={"content-type": CONTENT_TYPE})


def _lines(reasons: Iterable[str]) -> str:
    """A reason a line, whatever somebody else's words in it hold."""
    return "".join(f"{_printable(reason)}\n" for reason in reasons)


def _printable(text: str) -> str:
    return "".join(it if it.isprintable() else ascii(it)[1:-1] for it in text)


async def _bug(_: Request, error: Exception) -> Response:
    _log.error("an HTTP request failed in a way that is a bug", exc_info=error)
    return PlainTextResponse("internal error; see the log\n", 500)
