"""Named locks among all processes of a mirror, by advisory locks of PostgreSQL.

One connection for all of a process: a server has some hundred. So whoever waits asks again and
again, with jitter, and holds up nobody else: ``pg_advisory_lock`` would keep the connection for
itself. Among processes there is no order of coming.

A lost connection is made anew only when everybody who held a lock on it has left: until then
``check`` refuses what they may still be about to do.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import LeaseLost, LedgerUnreachable
from artifact_sync.fleet.lock_session import LockSession, SessionLost
from artifact_sync.fleet.pooler import check_session
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from artifact_sync.fleet.lock_session import Connect

_log = get_logger(__name__)

_SHORTEST, _LONGEST = 0.05, 0.5
"""Seconds between two tries of one who waits."""
_RECONNECTING = 15.0
"""Seconds in which a lost connection is made anew."""

_jitter = Random()  # noqa: S311 - no secret


def lock_key(*name: str) -> int:
    """The key of a lock: the first 64 bits of its name's SHA-256.

    The same for all versions. The lengths keep the parts of the name apart.
    """
    parts = [part.encode("utf-8", "surrogatepass") for part in ("artifact-sync", *name)]
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class AdvisoryLocks:
    """The locks of a process; made by ``open``, ended by ``aclose``."""

    def __init__(self, connect: Connect, session: LockSession) -> None:
        self._connect = connect
        self._session = session
        self._holders = 0
        self._left = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._within: dict[int, asyncio.Lock] = {}
        """A session may take a lock that it has already: so its tasks exclude each other here."""
        self._users: dict[int, int] = {}
        self._renewed: list[Callable[[], Awaitable[None]]] = []
        self._keeping = asyncio.create_task(self._keep())

    @classmethod
    async def open(cls, connect: Connect) -> AdvisoryLocks:
        """Connect. Raises what ``connect`` raises; ``UsageError`` of a pooler without sessions."""
        try:
            await asyncio.to_thread(check_session, connect)
            return cls(connect, await LockSession.open(connect))
        except SessionLost:
            raise _unreachable() from None

    def when_renewed(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have this called first whenever a lost connection was made anew.

        Where it raises, or is cancelled, the connection is given up, and it is called on the next.
        """
        self._renewed.append(call)

    def fence(self) -> Callable[[], None]:
        """What raises ``LeaseLost`` once what is held now is lost.

        To be called; blocking, cheap. Those of one connection are equal.
        """
        return SessionFence(self._session)

    def mark(self) -> int:
        """The key of a lock that lasts as long as those held now.

        Each connection has one of its own.
        """
        return self._session.mark

    async def claim(self, *name: str) -> bool:
        """Take a lock to the end of the connection; whether it was free.

        ``LedgerUnreachable`` when the connection is no more.
        """
        try:
            return await self._session.try_lock(lock_key(*name))
        except SessionLost:
            raise _unreachable() from None

    async def release(self, *name: str) -> None:
        """Free a lock that was claimed."""
        await self._session.unlock(lock_key(*name))

    @asynccontextmanager
    async def hold(
        self, *name: str, wait: bool = True, longest: float = _LONGEST
    ) -> AsyncGenerator[SessionLease | None]:
        """Hold a lock within the block; None: somebody else has it, without ``wait``.

        ``longest``: seconds between two tries of one who waits, at most.
        ``LedgerUnreachable`` when there is no connection to be had, and what is raised by those
        that are called first.
        """
        key = lock_key(*name)
        async with self._alone(key, wait=wait) as alone:
            session = await self._taken(key, longest if wait else None) if alone else None
            if session is None:
                yield None
                return
            try:
                yield SessionLease(session)
            finally:
                await self._free(session, key)

    @asynccontextmanager
    async def _alone(self, key: int, *, wait: bool) -> AsyncGenerator[bool]:
        """Keep out the others of this process."""
        lock = self._within.setdefault(key, asyncio.Lock())
        if lock.locked() and not wait:
            yield False
            return
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with lock:
                yield True
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._within[key]

    async def _taken(self, key: int, longest: float | None) -> LockSession | None:
        """Take a lock; the session that has it. None: somebody else does.

        ``longest``: seconds between two tries, at most; None: there is one.
        """
        pause = _SHORTEST
        while True:
            session = await self._current()
            self._holders += 1
            got = False
            try:
                got = await session.try_lock(key)
            except SessionLost:
                continue
            finally:
                if not got:
                    self._leave()
            if got or longest is None:
                return session if got else None
            await asyncio.sleep(pause * _jitter.uniform(0.5, 1.0))
            pause = min(2 * pause, longest)

    async def _free(self, session: LockSession, key: int) -> None:
        try:
            await session.unlock(key)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._left.set()

    async def _current(self) -> LockSession:
        """The session, made anew once it was lost and left."""
        async with self._renewing:
            while self._session.is_lost:
                while self._holders:
                    self._left.clear()
                    await self._left.wait()
                self._session = await self._connected()
                await self._claim_anew()
        return self._session

    async def _claim_anew(self) -> None:
        """Claim what the lost connection held: all of it, or the new one ends, too."""
        try:
            for call in self._renewed:
                await call()
        except BaseException:
            await self._session.aclose()
            raise

    async def _keep(self) -> None:
        """Make a lost connection anew also where nobody wants a lock: a fence needs one."""
        told = ""
        while True:
            await self._session.lost()
            try:
                await self._current()
                told = ""
            except LedgerUnreachable:
                await asyncio.sleep(_LONGEST)
            except Exception as error:  # noqa: BLE001 - logged, and tried again
                if told != (told := str(error)):
                    _log.warning("what this process claimed cannot be claimed anew", why=told)
                await asyncio.sleep(_LONGEST)

    async def _connected(self) -> LockSession:
        until, pause = monotonic() + _RECONNECTING, _SHORTEST
        while True:
            try:
                return await LockSession.open(self._connect)
            except LedgerUnreachable:
                if monotonic() + pause > until:
                    raise
            except SessionLost:
                if monotonic() + pause > until:
                    raise _unreachable() from None
            await asyncio.sleep(pause * _jitter.uniform(0.5, 1.0))
            pause = min(2 * pause, 2.0)

    async def aclose(self) -> None:
        """Free all locks."""
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        await self._session.aclose()


def _unreachable() -> LedgerUnreachable:
    return LedgerUnreachable(
        "the connection for the locks of repositories was lost as soon as it was made: look at the"
        " ledger's server, and run it again"
    )


@dataclass(frozen=True)
class SessionFence:
    """Refuses what was begun under the locks of a connection that is lost."""

    session: LockSession

    def __call__(self) -> None:
        """Raise ``LeaseLost`` unless the connection was there just now. Blocking."""
        if not self.session.is_held():
            raise LeaseLost("the repository")


class SessionLease:
    """``ports.Lease`` that lasts as long as the connection."""

    def __init__(self, session: LockSession) -> None:
        self._session = session

    async def lost(self) -> None:
        """Return when the connection is lost; see ``ports.Lease``."""
        await self._session.lost()
