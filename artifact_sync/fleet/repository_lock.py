"""``ports.RepositoryLock`` among all processes, by advisory locks of PostgreSQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import RepositoryBusy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.model import RepoName
    from artifact_sync.fleet.advisory_locks import AdvisoryLocks, SessionLease


class PostgresRepositoryLock:
    """Excludes those who work on a repository, in all processes.

    Killed processes free theirs at once, stopped ones hold theirs. A holder whose lease is lost
    must leave: nobody of its process gets a lock before.
    """

    def __init__(self, locks: AdvisoryLocks, mirror: str) -> None:
        """``mirror``: its id."""
        self._locks = locks
        self._mirror = mirror

    @asynccontextmanager
    async def hold(self, repo: RepoName, *, wait: bool = True) -> AsyncGenerator[SessionLease]:
        """Hold a repository; see ``ports.RepositoryLock``. ``LedgerUnreachable``."""
        async with self._locks.hold("repository", self._mirror, *repo, wait=wait) as lease:
            if lease is None:
                raise RepositoryBusy(repo)
            yield lease
