"""Prunes when ``keep.schedule`` says so, also while no pass is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from artifact_sync.daemon.scheduler import Scheduler
    from artifact_sync.domain.ports import Clock, RepositoryLock

_PERIOD = 15.0
"""Seconds between two looks at the clock: a cron expression has minutes."""


class PruneTimer(Struct, frozen=True):
    """Repeats its look until cancelled."""

    scheduler: Scheduler
    prune: Callable[[RepositoryLock], Awaitable[bool]]
    """Prunes what is due by its schedule; whether anything has gone."""
    clock: Clock

    async def run(self) -> None:
        """Look at the clock, and prune what is due."""
        while True:
            if await self.prune(self.scheduler.auditor.lock):
                self.scheduler.forget_unchanged()
            await self.clock.sleep(_PERIOD)
