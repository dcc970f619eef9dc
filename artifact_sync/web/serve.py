"""Serves the daemon's web, if the optional libraries are installed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import ModuleType

    from artifact_sync.web.context import WebContext

_EXTRA = frozenset({"starlette", "uvicorn", "h11", "anyio", "prometheus_client"})


@asynccontextmanager
async def opened(context: WebContext) -> AsyncGenerator[str]:
    """Serve at ``web.listen`` to the end of the block; yields the origin: ``http://[::1]:8080``.

    ``UsageError`` when it cannot listen there, or when the extra ``web`` is not installed.
    """
    app, server = _modules()
    application = app.application(context)
    async with server.serving(context.settings, application, context.limits) as origin:
        yield origin


def _modules() -> tuple[ModuleType, ModuleType]:
    try:
        from artifact_sync.web import app, server  # noqa: PLC0415 - costs memory, may be missing
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        what = "web.listen needs Starlette, uvicorn and prometheus-client"
        raise UsageError(f"{what}: pip install 'artifact-sync[web]'") from error
    return app, server
