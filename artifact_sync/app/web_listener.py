"""Starts and stops the web server as the settings say."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import ConfigError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.web.serve import opened
from artifact_sync.web.webhook_secrets import read_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from artifact_sync.domain.settings import WebSettings
    from artifact_sync.web.context import WebContext

_log = get_logger(__name__)


class WebListener:
    """Listens at ``web.listen``, or not at all."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._stack = AsyncExitStack()
        self._listen: str | None = None
        self._settings: WebSettings | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Listen to the end of the block. ``UsageError``."""
        await self.follow()
        try:
            yield
        finally:
            await self._stack.aclose()

    async def follow(self) -> None:
        """Listen where the settings say now. After a ``UsageError`` it listens nowhere."""
        settings = self._context.settings()
        if settings.listen is not None and settings != self._settings:
            await self._context.threads(_check_secrets, settings, self._context.environ)
        self._settings = settings
        wanted = settings.listen
        if wanted == self._listen:
            return
        self._listen = None
        await self._stack.aclose()  # first: the new address may be the old port by another name
        if wanted is not None:
            origin = await self._stack.enter_async_context(opened(self._context))
            _log.info("listening", at=origin)
        self._listen = wanted


def _check_secrets(settings: WebSettings, environ: Mapping[str, str]) -> None:
    """Log at once, and not at the first call, why webhooks cannot be checked."""
    try:
        secrets = read_secrets(settings, environ)
    except ConfigError as error:
        for problem in error.problems:
            _log.error("calls of the webhook are refused until this is mended", problem=problem)
    else:
        if not secrets:
            _log.info("no webhook secret: calls of the webhook are refused")
