"""Opens links by HTTP. Imported when the first link is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.source.links.fetcher import HttpBackends, HttpFetcher
from artifact_sync.source.transport.clients import download_client

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import Fetcher
    from artifact_sync.source.transport.clients import TransportSettings
    from artifact_sync.source.transport.tls import TlsContext


async def link_fetcher(
    settings: TransportSettings, tls: TlsContext, observer: Observer, stack: AsyncExitStack
) -> Fetcher:
    """Make a fetcher, which ``stack`` closes. ``ConfigError`` for unusable settings."""
    client = await stack.enter_async_context(download_client(settings, await tls()))
    backends = HttpBackends(client, settings, tls.trust, observer)
    stack.push_async_callback(backends.aclose)
    return HttpFetcher(backends)
