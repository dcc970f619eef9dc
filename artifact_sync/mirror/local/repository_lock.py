"""Exclusion within one process: a lock for each repository, in a table in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from artifact_sync.domain.errors import RepositoryBusy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.model import RepoName


class LocalRepositoryLock:
    """``ports.RepositoryLock`` for the process that holds the mirror's ``MirrorLock``.

    It knows of this process's passes only. ``MirrorLock`` keeps all other processes out.
    """

    def __init__(self) -> None:
        self._locks = WeakValueDictionary["RepoName", asyncio.Lock]()
        """Alive while somebody holds one or waits for it."""

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[LocalLease]:
        """Hold a repository; see ``ports.RepositoryLock``."""
        lock = self._locks.setdefault(repo, asyncio.Lock())
        if lock.locked() and not wait:
            raise RepositoryBusy(repo)
        async with lock:
            yield LocalLease()


class LocalLease:
    """``ports.Lease`` that lasts as long as the process."""

    async def lost(self) -> None:
        """Never returns."""
        await asyncio.Event().wait()
