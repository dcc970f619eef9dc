"""Chooses HTTP backends: the Rust client where it can be used, then httpx.

Made when the first link is opened: a pass with nothing new needs neither.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING
from urllib.request import getproxies

from artifact_sync.domain.events import Noticed
from artifact_sync.source.links.httpx_backend import HttpxBackend
from artifact_sync.version import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from artifact_sync.domain.events import Observer
    from artifact_sync.source.links.backend import HttpBackend
    from artifact_sync.source.links.reqwest_backend import ReqwestBackend
    from artifact_sync.source.transport.clients import TransportSettings
    from artifact_sync.source.transport.tls import Trust


_SLOWER = (
    "downloads go by httpx, which is slower: the client in Rust is not there, which"
    " pip install 'artifact-sync[fast]' brings where it has a wheel"
)
_OTHER_THREAD = (
    "downloads go by httpx, which is slower: the client in Rust can only be loaded in the main"
    " thread, which import pyreqwest does there"
)


class HttpBackends:
    """The backends in order of preference. ``aclose`` closes them, but not ``client``."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: TransportSettings,
        trust: Trust,
        observer: Observer,
    ) -> None:
        """``client``: from ``transport.download_client`` with these settings."""
        self._made: list[HttpBackend] = []
        self._httpx = HttpxBackend(client)
        self._settings = settings
        self._trust = trust
        self._observer = observer
        self._fast: ReqwestBackend | None = None
        self._making = asyncio.Lock()

    async def ready(self) -> Sequence[HttpBackend]:
        """The backends, made on the first call."""
        if not self._made:
            async with self._making:
                await self._make()
        return self._made

    async def aclose(self) -> None:
        """Close the Rust client, if it was made."""
        if self._fast is not None:
            await self._fast.aclose()

    async def _make(self) -> None:
        if self._made:
            return
        if self._settings.proxy is None and not _environments_proxy():
            await self._make_fast()
        self._made = [self._httpx] if self._fast is None else [self._fast, self._httpx]

    async def _make_fast(self) -> None:
        """Make the Rust client, or say why not."""
        if not _may_import():
            self._observer.notify(Noticed(_OTHER_THREAD))
            return
        try:
            from artifact_sync.source.links.reqwest_backend import ReqwestBackend  # noqa: PLC0415 - no wheel

            making = asyncio.to_thread(ReqwestBackend.made, self._settings, self._trust, USER_AGENT)
            self._fast = await making
        except (ImportError, OSError):
            self._observer.notify(Noticed(_SLOWER))


def _may_import() -> bool:
    """Whether the Rust client can be imported here, or was imported before.

    Its allocator belongs to the thread that loads it. Once that thread has ended, a later one
    crashes (decision 0015).
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread or "pyreqwest" in sys.modules


def _environments_proxy() -> bool:
    """Whether the environment names a proxy: httpx knows for which hosts it is meant."""
    return any(scheme in {"http", "https", "all"} for scheme in getproxies())
