"""A connection to PostgreSQL for what processes agree on. On one event loop."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from artifact_sync.domain.errors import LedgerUnreachable
from artifact_sync.fleet.unread import has_unread
from artifact_sync.runtime.postgres_terms import CONNECTION_TERMS, WHILE_MAKING_TABLES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    Values = Sequence[Any] | Mapping[str, Any]

_PATIENCE = 5.0
"""Seconds for a statement, and for connecting."""
_MAKING_PATIENCE = 60.0
"""Seconds for a statement while tables are made: others may be at it, on a slow server."""
_HAS_TABLE = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(%s))"
"""Of pg_class: to open a table lets a session hear of what others have just made."""
_NO_CONNECTION = r"too many (?:clients|connections)|remaining connection slots"
"""What a server says, and a pooler, of a client for which there is no room."""
_OF_CODE = MappingProxyType({"42501": "its user may not use a table: GRANT it ALL on them"})


class Coordination:
    """Executes statements, each in a transaction of its own unless they are in one.

    Made anew when it is lost. Nothing is kept for the session, so a pooler may be in between.
    """

    def __init__(self, url: str, patience: float = _PATIENCE) -> None:
        """``patience``: seconds for a statement that makes no tables."""
        self._options = {**CONNECTION_TERMS, "client_encoding": "utf8", **conninfo_to_dict(url)}
        self._usual = self._patience = patience
        self._turn = asyncio.Lock()
        self._raw: psycopg.AsyncConnection[Any] | None = None
        self._holder: asyncio.Task[Any] | None = None
        """Who has a transaction open."""

    async def ask(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Execute a statement; its rows, or one with the count of those changed."""
        if self._holder is asyncio.current_task():
            return await self._execute(sql, values)
        async with self._turn:
            return await self._execute(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Have all that this task asks within the block done, or nothing."""
        async with self._turn:
            await self._execute("BEGIN", ())
            self._holder = asyncio.current_task()
            try:
                yield
                await self._execute("COMMIT", ())
            except BaseException:
                await self.aclose()
                raise
            finally:
                self._holder = None

    async def has_table(self, name: str) -> bool:
        """Whether a table has been made."""
        return bool((await self.ask(_HAS_TABLE, [name]))[0][0])

    @asynccontextmanager
    async def making_tables(self) -> AsyncGenerator[None]:
        """As ``transaction``, while nobody else makes tables, or the ledger itself."""
        async with self.transaction():
            self._patience = _MAKING_PATIENCE
            try:
                await self.ask(WHILE_MAKING_TABLES)
                yield
            finally:
                self._patience = self._usual

    async def aclose(self) -> None:
        """Close the connection.

        May be called twice. Whoever asks opens it anew.
        """
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(psycopg.Error, OSError):
                await raw.close()

    async def _execute(self, sql: str, values: Values) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(self._patience):
                cursor = await (await self._connected()).execute(sql, values)
                return await cursor.fetchall() if cursor.description else [(cursor.rowcount,)]
        except (psycopg.Error, OSError, TimeoutError) as error:
            why = _words(error)
            error.__traceback__ = None  # its frames know it, and what they have half made
        except BaseException:
            await self.aclose()  # nobody knows what it is in the middle of
            raise
        await self.aclose()
        # here, without that error: as long as it lives, so does a connection that was half made
        raise LedgerUnreachable(why)

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        """The connection; another one where the server has ended it since it was last used."""
        if self._raw is not None and self._holder is None and _has_ended(self._raw):
            await self.aclose()
        if self._raw is None:
            connect = psycopg.AsyncConnection.connect
            self._raw = await connect(**self._options, autocommit=True, prepare_threshold=None)
        return self._raw


def _has_ended(raw: psycopg.AsyncConnection[Any]) -> bool:
    """Whether the server has said something, though it was asked nothing: that it ends."""
    return raw.closed or has_unread(raw)


def kind_of_error(error: BaseException) -> str:
    """What to call it, without its own text, which may quote the URL."""
    if re.search(_NO_CONNECTION, str(error)):
        return "no connection left: raise max_connections, a worker takes up to eight"
    code = getattr(error, "sqlstate", None)
    return _OF_CODE.get(code or "", code or type(error).__name__)


def _words(error: Exception) -> str:
    kind = kind_of_error(error)
    return f"the ledger's database does not answer what processes agree on ({kind})"
