"""A TLS context whose authorities are read before TLS is first spoken, and perhaps never."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from artifact_sync.source.trust import trusting_nobody

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    import httpx

    Read = Callable[[ssl.SSLContext], Awaitable[None]]
    """Has the context trust whom it should; elsewhere, because that takes long."""


class LateTrust:
    """Until ``load`` the context trusts nobody: who forgets it gets no connection."""

    def __init__(self, read: Read) -> None:
        self.context = trusting_nobody()
        self._read = read
        self._reading = asyncio.Lock()
        self._done = False

    async def load(self) -> None:
        """Read the authorities, once. ``ConfigError`` when they can't be read."""
        async with self._reading:
            if not self._done:
                await self._read(self.context)
                self._done = True

    async def before(self, request: httpx.Request) -> None:
        """``load`` for a request that speaks TLS; a hook for httpx."""
        if request.url.scheme == "https":
            await self.load()
