"""The web while it listens, and what a reload may change of that."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from artifact_sync.web.front import opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.web.front import Front

_log = structlog.get_logger(__name__)


class Web:
    """Listens where ``web.listen`` says, or not at all."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._stack = AsyncExitStack()
        self._listen: str | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Listen to the end of the block. ``UsageError``."""
        await self.follow()
        try:
            yield
        finally:
            await self._stack.aclose()

    async def follow(self) -> None:
        """Listen where the settings say now. ``UsageError``: it cannot, and listens nowhere."""
        wanted = self._front.settings().listen
        if wanted == self._listen:
            return
        self._listen = None
        await self._stack.aclose()  # first: the new place may be the old port by another name
        if wanted is not None:
            origin = await self._stack.enter_async_context(opened(self._front))
            _log.info("listening", at=origin)
        self._listen = wanted
