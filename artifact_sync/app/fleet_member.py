"""This process among those that share a mirror: who is there, and who plans."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.app.fleet_status import SEEN, coordination_of
from artifact_sync.daemon.worker import WorkerBeat
from artifact_sync.domain.errors import AlreadyPlanned

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager, AsyncExitStack

    from artifact_sync.app.storage import Storage
    from artifact_sync.daemon.context import DaemonContext
    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.settings import Config
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks, SessionLease
    from artifact_sync.fleet.coordination import Coordination

PLANNER = "planner"
"""The lock of whoever plans."""
_PLANNER = 2.0
"""Seconds between two tries of one who waits for it, at most: hardly anybody dies."""


class FleetMember:
    """A daemon or worker beside others. Made by ``open_member``."""

    def __init__(self, database: Coordination, locks: AdvisoryLocks, mirror: str) -> None:
        """``mirror``: its id."""
        from artifact_sync.fleet.worker_registry import PostgresWorkerRegistry  # noqa: PLC0415 - an extra

        self.database = database
        self.mirror = mirror
        self._locks = locks
        self._registry = PostgresWorkerRegistry(database, SEEN)

    async def plan_alone(self, lost: Callable[[], None]) -> None:
        """Have nobody else plan while this process runs. ``AlreadyPlanned``, ``LedgerUnreachable``.

        ``lost`` is called when the connection was cut, and somebody else plans since.
        """

        async def again() -> None:
            if not await self._locks.claim(PLANNER, self.mirror):
                lost()

        if not await self._locks.claim(PLANNER, self.mirror):
            raise await self.already_planned()
        self._locks.when_renewed(again)

    def planner_lock(self) -> AbstractAsyncContextManager[SessionLease | None]:
        """Waits until nobody else plans, as long as the connection of all locks lasts."""
        return self._locks.hold(PLANNER, self.mirror, longest=_PLANNER)

    async def already_planned(self) -> AlreadyPlanned:
        """The error that names who plans, as far as is known."""
        seen = [it for it in await self._registry.workers() if it.planner]
        return AlreadyPlanned(seen[0].in_words if seen else "another process")

    async def state(self) -> FleetState:
        """All who work on the mirror, and what waits for them. ``LedgerUnreachable``."""
        from artifact_sync.fleet.overview import overview  # noqa: PLC0415 - an extra

        return await overview(self.database, SEEN)

    def worker_beat(
        self, context: DaemonContext, name: str, plans: Callable[[], bool]
    ) -> WorkerBeat:
        """Shows a worker to the others."""
        return WorkerBeat(self._registry, context, name, platform.node(), os.getpid(), plans)

    def daemon_beat(self, context: DaemonContext) -> WorkerBeat:
        """Shows a daemon to the others."""
        beat = self.worker_beat(context, platform.node(), lambda: True)
        return msgspec.structs.replace(beat, is_daemon=True)


async def open_member(config: Config, store: Storage, stack: AsyncExitStack) -> FleetMember | None:
    """Join those who share a mirror; None where this process has it for itself."""
    database = await stack.enter_async_context(coordination_of(config))
    if database is None or store.locks is None:
        return None
    return FleetMember(database, store.locks, await store.ledger.mirror() or "")
