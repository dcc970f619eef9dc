"""Puts together what delivers to hooks, and what posts for them."""

from __future__ import annotations

import os
import random
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from artifact_sync.domain.hooks import Subscriptions, hook_name, subscribers
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.hooks.removed import drop_removed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from artifact_sync.domain.ports import Clock, Ledger
    from artifact_sync.domain.settings import Config, HookSettings
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.source.hook_client import HookClient
    from artifact_sync.sync.hooks.addresses import Post
    from artifact_sync.sync.hooks.dispatcher import Dispatcher, Hook, Send

_log = get_logger(__name__)

_AT_THE_END = 8.0
"""Seconds that hooks have at the end of a command. Who does not end then is killed 2 s later."""

_PATIENCE = 5.0
"""Seconds in which a program that is ended has ended."""


def subscribe(config: Config, ledger: Ledger, clock: Clock) -> None:
    """Have the ledger post for the hooks of a configuration."""
    retention = config.source.retention
    ledger.subscribe(Subscriptions(subscribers(config.hook), clock.now, retention))


async def deliver_at_end(config: Config, ledger: Ledger, layout: Layout, clock: Clock) -> None:
    """Deliver what is due, for 10 s at most; the rest waits.

    With no hooks, what waits for them is dropped: one query.
    """
    try:
        if config.hook:
            async with dispatcher(config, ledger, layout, clock) as it:
                await it.deliver(_AT_THE_END)
        else:
            await drop_removed(ledger)
    except Exception as error:  # noqa: BLE001 - the pass is over, and well or not by itself
        _log.warning("hooks could not be told, which waits for the next time", why=str(error))


@asynccontextmanager
async def dispatcher(
    config: Config, ledger: Ledger, layout: Layout, clock: Clock
) -> AsyncGenerator[Dispatcher]:
    """What delivers to the hooks of a configuration. ``UsageError`` without a root."""
    from contextlib import AsyncExitStack  # noqa: PLC0415 - only with hooks

    from artifact_sync.sync.hooks.dispatcher import Dispatcher  # noqa: PLC0415 - likewise

    async with AsyncExitStack() as stack:
        build = _Build(config, layout, os.environ, stack)
        hooks = [build.hook(settings) for settings in config.hook]
        yield Dispatcher(ledger, hooks, clock, random.Random())  # noqa: S311 - no secret depends on it


class _Build:
    """Makes hooks of their settings; what they need is made once, when it is needed."""

    def __init__(
        self, config: Config, layout: Layout, environ: Mapping[str, str], stack: AsyncExitStack
    ) -> None:
        self._config = config
        self._layout = layout
        self._environ = environ
        self._stack = stack
        self._post: Post | None = None

    def hook(self, settings: HookSettings) -> Hook:
        """A hook that can be called."""
        from artifact_sync.sync.hooks.dispatcher import Hook  # noqa: PLC0415 - likewise

        send = self._address(settings) if settings.url is not None else self._program(settings)
        return Hook(hook_name(settings), label_of(settings), settings.timeout, send)

    def _program(self, settings: HookSettings) -> Send:
        from artifact_sync.app.locations import is_in_store, root_of  # noqa: PLC0415 - likewise
        from artifact_sync.runtime.threads import Threads  # noqa: PLC0415 - likewise
        from artifact_sync.sync.hooks.programs import Program  # noqa: PLC0415 - likewise

        threads = self._stack.enter_context(Threads(1, "hook", patience=_PATIENCE))
        argv = settings.command or ()
        root = root_of(self._config)
        place = str(self._config.mirror.root if is_in_store(self._config) else root)
        return Program(argv, self._environ, root, place, self._layout, threads).send

    def _address(self, settings: HookSettings) -> Send:
        from artifact_sync.sync.hooks.addresses import Address  # noqa: PLC0415 - likewise

        if self._post is None:
            self._post = self._client().post
        read = partial(_secret, settings.secret_file, self._environ)
        return Address(settings.url or "", read, self._layout, self._post).send

    def _client(self) -> HookClient:
        from artifact_sync.runtime.threads import AbandonableThreads  # noqa: PLC0415 - likewise
        from artifact_sync.source.hook_client import HookClient  # noqa: PLC0415 - likewise
        from artifact_sync.source.transport.clients import TransportSettings, hush_http_loggers  # noqa: PLC0415 - likewise
        from artifact_sync.source.transport.tls import TlsContext  # noqa: PLC0415 - likewise

        hush_http_loggers()
        source = self._config.source
        settings = TransportSettings(source.base_url, proxy=source.proxy)
        client = HookClient(settings, TlsContext(source.ca_bundle, AbandonableThreads()))
        self._stack.push_async_callback(client.aclose)
        return client


async def _secret(path: Path | None, environ: Mapping[str, str]) -> bytes | None:
    """The secret that signs; None: there is none."""
    from artifact_sync.config.hook_secret import read_hook_secret  # noqa: PLC0415 - likewise
    from artifact_sync.runtime.threads import AbandonableThreads  # noqa: PLC0415 - likewise

    if path is None:
        return None
    return await AbandonableThreads()(read_hook_secret, path, environ)


def label_of(settings: HookSettings) -> str:
    """A hook's name for people: its own, or what it calls without a secret."""
    if settings.name is not None:
        return settings.name
    if settings.command:
        return settings.command[0].rpartition("/")[2]
    return urlsplit(settings.url or "").hostname or ""
