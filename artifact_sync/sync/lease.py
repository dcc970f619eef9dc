"""Work on a repository while its lease lasts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import LeaseLost

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import RepositoryLock


@asynccontextmanager
async def leased(lock: RepositoryLock, repo: RepoName) -> AsyncGenerator[None]:
    """Hold a repository in the block, which is cancelled when the lease is lost.

    Raises an ``ExceptionGroup``: of ``LeaseLost``, or of the block's own exception.
    """
    async with lock.hold(repo) as lease, asyncio.TaskGroup() as group:

        async def watch() -> None:
            await lease.lost()
            raise LeaseLost(repo)

        watching = group.create_task(watch())
        yield
        watching.cancel()
