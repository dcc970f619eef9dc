"""A mirror that several processes work on, whose ledger is on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import platform
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from artifact_sync.app.fleet_status import holder_in_words
from artifact_sync.app.locations import ledger_url
from artifact_sync.domain.errors import RepositoryBusy
from artifact_sync.domain.jobs import process_in_words
from artifact_sync.ledger import location, postgres_connector
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import running_beside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from artifact_sync.app.mirrors import OpenedMirror
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Lease, RepositoryLock
    from artifact_sync.domain.settings import Config
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks
    from artifact_sync.runtime.threads import Offload

_log = get_logger(__name__)

_TOLD_EVERY = 60.0
"""Seconds."""

_NOTICING = {
    "connect_timeout": 5,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
"""Of libpq: a server that says nothing is given up within 5 seconds."""
_LONGEST_NAME = 63
"""Of a session, for PostgreSQL."""


def is_shared(config: Config) -> bool:
    """Whether other processes may work on the mirror, too."""
    return bool(location(ledger_url(config)).server)


async def opened_locks(config: Config, stack: AsyncExitStack, command: str) -> AdvisoryLocks:
    """Connect to the locks of all processes. ``UsageError``, ``LedgerUnreachable``.

    ``command``: what others are told who wait for one.
    """
    name = session_name(command, platform.node(), os.getpid())
    connect = postgres_connector(ledger_url(config), **_NOTICING, application_name=name)
    if connect is None:
        raise ValueError("the ledger is on no server")
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks  # noqa: PLC0415 - an extra

    locks = await AdvisoryLocks.open(connect)
    stack.push_async_callback(locks.aclose)
    return locks


async def try_server(config: Config) -> None:
    """Connect to the ledger's server, if any, as each process does first.

    ``UsageError``, ``LedgerUnreachable``.
    """
    async with AsyncExitStack() as stack:
        if is_shared(config):
            await opened_locks(config, stack, "artifact-sync config check")


def session_name(command: str, host: str, pid: int) -> str:
    """The name of a session for locks: its process in words.

    Of the host as much as fits.
    """
    room = _LONGEST_NAME - len(process_in_words(command, "", pid))
    return process_in_words(command, host[: max(room, 0)], pid)


def repository_lock(
    config: Config, locks: AdvisoryLocks, mirror_id: str, *, is_daemon: bool
) -> RepositoryLock:
    """The exclusion of all who change a repository of a mirror."""
    from artifact_sync.fleet.repository_lock import PostgresRepositoryLock  # noqa: PLC0415 - an extra

    lock = PostgresRepositoryLock(locks, mirror_id)
    return lock if is_daemon else AnnouncedLock(lock, config)


class AnnouncedLock:
    """A ``RepositoryLock`` of a command, which says what it waits for."""

    def __init__(self, lock: RepositoryLock, config: Config) -> None:
        self._lock = lock
        self._config = config

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[Lease]:
        """Hold a repository; see ``ports.RepositoryLock``."""
        async with AsyncExitStack() as stack:
            try:
                lease = await stack.enter_async_context(self._lock.hold(repo, wait=False))
            except RepositoryBusy:
                if not (wait and self._config.wait):
                    raise
                async with running_beside(_tell(repo, self._config)):
                    lease = await stack.enter_async_context(self._lock.hold(repo))
            yield lease


async def _tell(repo: RepoName, config: Config) -> None:
    """Say at once, and each minute, that a repository is waited for, and who has it."""
    since = f"{datetime.now(UTC):%H:%M:%S} UTC"
    while True:
        who = await holder_in_words(config, repo)
        _log.info(f"{repo} is being worked on by {who}: waiting", since=since)
        await asyncio.sleep(_TOLD_EVERY)


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
            slot, fence = await self._lowest(), self._locks.fence
            self.folder = await offload(self._share, slot, fence, frees)

        await again()
        self._locks.when_renewed(again)

    async def _lowest(self) -> str:
        number = 1
        while not await self._locks.claim(*self._name, str(number)):
            number += 1
        return str(number)

    async def left_by_others(self, offload: Offload) -> AsyncGenerator[Path]:
        """The folders that no process has, each held meanwhile."""
        for folder in await offload(staging_slots, self._top):
            name = (*self._name, folder.name)
            if folder != self.folder and await self._locks.claim(*name):
                yield folder
                await self._locks.release(*name)
        yield self._top


def staging_slots(top: Path) -> list[Path]:
    """The staging folders of all processes of this machine."""
    with suppress(OSError):
        return [it for it in top.iterdir() if re.fullmatch(r"[1-9][0-9]*", it.name)]
    return []
