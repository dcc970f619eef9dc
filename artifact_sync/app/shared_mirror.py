"""A mirror that several processes work on, whose ledger is on PostgreSQL."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from artifact_sync.app.locations import ledger_url
from artifact_sync.ledger import location, postgres_connector

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AsyncExitStack
    from pathlib import Path

    from artifact_sync.app.mirrors import OpenedMirror
    from artifact_sync.domain.ports import RepositoryLock
    from artifact_sync.domain.settings import Config
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks
    from artifact_sync.runtime.threads import Offload

_NOTICING = {
    "connect_timeout": 5,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "application_name": "artifact-sync locks",
}
"""Of libpq: a server that says nothing is given up within 5 seconds."""


def is_shared(config: Config) -> bool:
    """Whether other processes may work on the mirror, too."""
    return bool(location(ledger_url(config)).server)


async def opened_locks(config: Config, stack: AsyncExitStack) -> AdvisoryLocks:
    """Connect to the locks of all processes. ``UsageError``, ``LedgerUnreachable``."""
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks  # noqa: PLC0415 - an extra

    connect = postgres_connector(ledger_url(config), **_NOTICING)
    if connect is None:
        raise ValueError("the ledger is on no server")
    locks = await AdvisoryLocks.open(connect)
    stack.push_async_callback(locks.aclose)
    return locks


def repository_lock(locks: AdvisoryLocks, mirror_id: str) -> RepositoryLock:
    """The exclusion of all who change a repository of a mirror."""
    from artifact_sync.fleet.repository_lock import PostgresRepositoryLock  # noqa: PLC0415 - an extra

    return PostgresRepositoryLock(locks, mirror_id)


@asynccontextmanager
async def alone_at_start(locks: AdvisoryLocks) -> AsyncGenerator[None]:
    """Keep out others who begin to work on a mirror of this database."""
    async with locks.hold("start"):
        yield


class StagingSlot:
    """The staging folder of this process: the lowest one that no other process has.

    So what a process leaves that has died is resumed by the next one. The folder is held as long as
    the connection of the locks is there, and claimed again, or another one, once that is made anew.
    """

    def __init__(self, locks: AdvisoryLocks, mirror_id: str, opened: OpenedMirror) -> None:
        self._locks = locks
        self._name = ("staging", mirror_id, opened.place)
        self._share = opened.share
        self._top = self.folder = opened.staging

    async def claim(self, offload: Offload, *, frees: bool) -> None:
        """Take a folder, now and whenever the connection was lost. ``DiskError``.

        ``frees``: see ``open_storage``.
        """

        async def again() -> None:
            slot, guard = await self._lowest(), self._locks.check
            self.folder = await offload(self._share, slot, guard, frees)

        await again()
        self._locks.when_renewed(again)

    async def _lowest(self) -> str:
        number = 1
        while not await self._locks.claim(*self._name, str(number)):
            number += 1
        return str(number)

    async def left_by_others(self, offload: Offload) -> AsyncGenerator[Path]:
        """The folders that no process has, each held meanwhile."""
        for folder in await offload(_slots, self._top):
            name = (*self._name, folder.name)
            if folder != self.folder and await self._locks.claim(*name):
                yield folder
                await self._locks.release(*name)
        yield self._top


def _slots(top: Path) -> list[Path]:
    with suppress(OSError):
        return [it for it in top.iterdir() if re.fullmatch(r"[1-9][0-9]*", it.name)]
    return []
