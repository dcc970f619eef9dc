"""The service and the files' hosts as one configuration and one token reach them. No disk."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.threads import AbandonableThreads
from artifact_sync.source.api.context import ApiContext
from artifact_sync.source.api.sourcecraft import SourceCraft
from artifact_sync.source.links.backends import HttpBackends
from artifact_sync.source.links.fetcher import HttpFetcher
from artifact_sync.source.transport.clients import (
    TransportSettings,
    api_client,
    download_client,
    hush_http_loggers,
)
from artifact_sync.source.transport.tls import trusted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import Fetcher, Source
    from artifact_sync.domain.settings import Config
    from artifact_sync.transfer.bandwidth import BandwidthLimiter


class Network(Struct, frozen=True):
    """What a pass reaches the world by."""

    config: Config
    source: Source
    fetcher: Fetcher
    retry: RetryPolicy
    pace: BandwidthLimiter | None

    @property
    def origin(self) -> str:
        """The service's host, for ``run.json``."""
        return urlsplit(self.config.source.base_url).netloc

    @property
    def encrypted(self) -> bool:
        """Whether the API is spoken to over TLS."""
        return self.config.source.base_url.startswith("https:")


@asynccontextmanager
async def open_network(
    config: Config,
    token: Token | None,
    observer: Observer,
    pace: BandwidthLimiter | None,
    chores: AbandonableThreads | None = None,
) -> AsyncGenerator[Network]:
    """The network of a configuration. ``ConfigError`` when its settings can't be used."""
    chores = chores or AbandonableThreads()
    hush_http_loggers()
    secret = token.value if token is not None else ""
    settings = _transport(config, secret)
    trust = trusted(config.source.ca_bundle)
    tls = await chores(trust.context)
    retry = RetryPolicy(config.download.attempts)
    jitter = random.Random()  # noqa: S311 - no secret depends on it
    rate = config.source.rate_limit
    context = ApiContext(SystemClock(), jitter, observer, rate, retry, token=secret)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(api_client(settings, tls))
        client = await stack.enter_async_context(download_client(settings, tls))
        backends = HttpBackends(client, settings, trust, observer)
        stack.push_async_callback(backends.aclose)
        yield Network(
            config,
            SourceCraft(api, context),
            HttpFetcher(backends),
            retry,
            pace,
        )


def _transport(config: Config, secret: str) -> TransportSettings:
    return TransportSettings(
        config.source.base_url,
        secret,
        config.source.proxy,
        config.download.timeout,
        config.download.jobs,
    )
