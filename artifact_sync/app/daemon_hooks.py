"""Tells hooks beside a daemon's passes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from artifact_sync.app.hooks import dispatcher, subscribe
from artifact_sync.runtime.tasks import first_of

if TYPE_CHECKING:
    from artifact_sync.domain.ports import Clock, Ledger
    from artifact_sync.domain.settings import Config
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.sync.hooks.dispatcher import Dispatcher

_ONCE = 600.0
"""Seconds that hooks have to be told what is due, before another process goes on."""

_FINISH = 10.0
"""Seconds that a delivery under way has when hooks change: one broken off is made again."""


class DaemonHooks:
    """Tells hooks as long as a daemon runs, by the configuration of now."""

    def __init__(self, ledger: Ledger, layout: Layout, clock: Clock, config: Config) -> None:
        self._ledger = ledger
        self._layout = layout
        self._clock = clock
        self._config = config
        self._changed = asyncio.Event()

    def follow(self, config: Config) -> None:
        """Go by another configuration from now on."""
        same = config.hook == self._config.hook and config.source == self._config.source
        self._config = config
        if not same:
            subscribe(config, self._ledger, self._clock)
            self._changed.set()

    async def run(self) -> None:
        """Tell hooks for ever."""
        while True:
            self._changed.clear()
            config = self._config
            async with dispatcher(config, self._ledger, self._layout, self._clock) as it:
                await first_of(it.run(), self._replace(it))

    async def tell(self) -> None:
        """Tell hooks what is due, once."""
        config = self._config
        async with dispatcher(config, self._ledger, self._layout, self._clock) as it:
            await it.deliver(_ONCE)

    async def _replace(self, it: Dispatcher) -> None:
        """Let a dispatcher finish once the hooks have changed, but not for long."""
        await self._changed.wait()
        it.leave()
        await self._clock.sleep(_FINISH)
