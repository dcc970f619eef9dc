"""Connects a pass to the service and the files' hosts."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.runtime.clock import ClockComparison, SystemClock
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.once import Once
from artifact_sync.runtime.threads import AbandonableThreads
from artifact_sync.source.api.client import ApiContext
from artifact_sync.source.api.sourcecraft import SourceCraft
from artifact_sync.source.transport.clients import (
    TransportSettings,
    api_client,
    download_client,
    hush_http_loggers,
    uses_tls,
)
from artifact_sync.source.transport.tls import TlsContext, trust_nobody, trusted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import Fetcher, SharedLimits, Source
    from artifact_sync.domain.settings import Config


class Network(Struct, frozen=True):
    """The connected network of one configuration and token."""

    config: Config
    source: Source
    fetcher: Once[Fetcher]
    """Made when the first link is opened: most passes open none."""
    comparison: ClockComparison
    """What the service's clock says of ours."""

    @property
    def origin(self) -> str:
        """The service's host, for ``run.json``."""
        return self.config.source.host

    @property
    def encrypted(self) -> bool:
        """Whether the API is used over TLS."""
        return self.config.source.base_url.startswith("https:")


@asynccontextmanager
async def open_network(
    config: Config,
    token: Token | None,
    observer: Observer,
    threads: AbandonableThreads | None = None,
    comparison: ClockComparison | None = None,
    limits: SharedLimits | None = None,
) -> AsyncGenerator[Network]:
    """Connect the network. ``ConfigError`` for unusable settings.

    ``comparison``: is told what the service's clock says of ours. ``limits``: those of the mirror;
    None: there is none.
    """
    comparison = comparison or ClockComparison()
    hush_http_loggers()
    secret = token.value if token is not None else ""
    source, download = config.source, config.download
    settings = TransportSettings(
        source.base_url, secret, source.proxy, download.timeout, download.jobs
    )
    tls = TlsContext(source.ca_bundle, threads or AbandonableThreads())
    retry = RetryPolicy(download.attempts)
    jitter = random.Random()  # noqa: S311 - no secret depends on it
    context = ApiContext(
        SystemClock(),
        jitter,
        observer,
        source.rate_limit,
        retry,
        comparison=comparison,
        turns=limits.requests(source.rate_limit) if limits is not None else None,
        token=secret,
    )
    async with AsyncExitStack() as stack:
        for notice in settings.proxies.notices:
            get_logger(__name__).warning(notice)
        at_once = uses_tls(settings) or tls.by_setting  # whose file may be wrong
        trust = await tls() if at_once else trust_nobody()
        api = await stack.enter_async_context(api_client(settings, trust))
        fetcher = partial(_link_fetcher, settings, tls, observer, stack)
        yield Network(config, SourceCraft(api, context), Once(fetcher), comparison)


def network_warnings(config: Config) -> list[str]:
    """Check what ``open_network`` goes by besides the configuration; what is odd about it.

    ``ConfigError`` when a proxy or the trusted authorities can't be used.
    """
    settings = TransportSettings(config.source.base_url, proxy=config.source.proxy)
    if uses_tls(settings) or config.source.ca_bundle is not None:
        trusted(config.source.ca_bundle).context()
    return settings.proxies.notices


async def _link_fetcher(
    settings: TransportSettings, tls: TlsContext, observer: Observer, stack: AsyncExitStack
) -> Fetcher:
    from artifact_sync.source.links.fetcher import HttpBackends, HttpFetcher  # noqa: PLC0415 - slow to import

    client = await stack.enter_async_context(download_client(settings, await tls()))
    backends = HttpBackends(client, settings, tls.trust, observer)
    stack.push_async_callback(backends.aclose)
    return HttpFetcher(backends)
