"""A lock of all processes on one mirror, by an advisory lock of PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_log = get_logger(__name__)

_LOOK = 1.0
"""Seconds between two tries to get the lock, and between two looks whether it is held."""


class AdvisoryLock:
    """Held by a connection of its own."""

    def __init__(self, url: str, name: str, look: float = _LOOK) -> None:
        self._options: dict[str, Any] = {
            "connect_timeout": 5,
            "application_name": "artifact-sync",
            "tcp_user_timeout": 10_000,
            **conninfo_to_dict(url),
        }
        digest = blake2b(name.encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, "big", signed=True)
        self._look = look

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[AdvisoryLease]:
        """Hold it within the block. Waits, also for a server that is lost."""
        connection = await self._held()
        try:
            yield AdvisoryLease(connection, self._look)
        finally:
            await connection.close()

    async def _held(self) -> psycopg.AsyncConnection[Any]:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    **self._options, autocommit=True, prepare_threshold=None
                )
            except (psycopg.Error, OSError) as error:
                _log.debug("the planner's lock cannot be asked for", why=type(error).__name__)
                await asyncio.sleep(self._look)
                continue
            try:
                if await self._wait_for(connection):
                    return connection
            except BaseException:
                await connection.close()
                raise
            await connection.close()

    async def _wait_for(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Wait until the lock is ours; False: the connection was lost."""
        try:
            while True:
                cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [self._key])
                if (row := await cursor.fetchone()) is not None and row[0]:
                    return True
                await asyncio.sleep(self._look)
        except (psycopg.Error, OSError):
            return False


class AdvisoryLease:
    """``ports.Lease`` that lasts as long as its connection."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], look: float) -> None:
        self._connection = connection
        self._look = look

    async def lost(self) -> None:
        """Return when the server does not answer on the connection any more."""
        try:
            while True:
                async with asyncio.timeout(10 * self._look):
                    await self._connection.execute("SELECT 1")
                await asyncio.sleep(self._look)
        except (psycopg.Error, OSError, TimeoutError):
            return
