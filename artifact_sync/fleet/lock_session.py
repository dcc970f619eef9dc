"""A connection with the advisory locks of a process, kept by a thread.

A session's advisory locks are free the moment that it ends, and last as long as its process is
there, even a stopped one. So the thread looks at the connection all the time: what the server says
of its end is heard at once, and one that says nothing is found out by a question each second. The
server in turn ends the session of a client whose machine has vanished, and later than the client
gives up: ``_LATER``. A thread of its own also serves while the event loop is busy.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from secrets import randbits
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg

from artifact_sync.fleet.unread import has_unread
from artifact_sync.runtime.threads import UncancellableFuture, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[], psycopg.Connection[Any]]
    """Makes a connection that commits by itself. Raises errors of ``domain.errors`` only."""

_LOOK = 1.0
"""Seconds between the questions."""
_FRESH = 3.0
"""Seconds for which an answer tells that the locks are held."""
_PATIENCE = 6.0
"""Seconds that an answer is waited for where somebody must know, by a thread that may not wait."""

_LOCK = "SELECT pg_try_advisory_lock(%s)"
_LATER = (
    "SELECT set_config(name, value, false) FROM (VALUES ('tcp_keepalives_idle', '5'),"
    " ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),"
    " ('tcp_user_timeout', '20000'), ('idle_session_timeout', '0'), ('statement_timeout', '0'))"
    " AS wanted (name, value) WHERE EXISTS (SELECT FROM pg_settings WHERE name = wanted.name)"
)
"""Of the server's side: 20 seconds. Over a socket of the machine most of it means nothing."""


class SessionLost(Exception):
    """The connection is no more, and so are the locks held by it."""


class LockSession:
    """Takes and frees advisory locks by their keys; made by ``open``."""

    def __init__(self, raw: psycopg.Connection[Any], mark: int) -> None:
        self.mark = mark
        """The key of a lock that it holds to its end, and no other connection ever did."""
        self._raw = raw
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[tuple[UncancellableFuture[Any] | threading.Event, str, int]]
        self._asked = SimpleQueue()
        self._bell, self._ears = socket.socketpair()
        self._closing = False
        self._ended = threading.Event()
        self._lost = asyncio.Event()
        self._answered = monotonic()
        self._asking = False
        """Whether the thread waits for an answer."""
        self._thread = threading.Thread(target=self._serve, name="locks", daemon=True)

    @classmethod
    async def open(cls, connect: Connect) -> LockSession:
        """Connect. Raises what ``connect`` raises, and ``SessionLost``."""
        mark = randbits(64) - 2**63
        session = cls(await asyncio.to_thread(_prepared, connect, mark), mark)
        session._thread.start()
        return session

    @property
    def is_lost(self) -> bool:
        """Whether the connection is no more."""
        return self._ended.is_set()

    async def lost(self) -> None:
        """Wait until the connection is no more."""
        await self._lost.wait()

    async def try_lock(self, key: int) -> bool:
        """Take a lock unless another session has it. ``SessionLost``.

        One that is held already is taken once more: see who asks.
        """
        asked = self._ask(_LOCK, key)
        try:
            return bool(await asked)
        except asyncio.CancelledError:
            if asked.done() and asked.exception() is None and asked.result():
                self._ask("SELECT pg_advisory_unlock(%s)", key)
            raise

    async def unlock(self, key: int) -> None:
        """Free a lock. Nothing is left to do where the connection is no more."""
        with suppress(SessionLost):
            await self._ask("SELECT pg_advisory_unlock(%s)", key)

    def is_held(self) -> bool:
        """Whether the connection was there just now. Blocking, hardly ever for long.

        A process that was stopped meanwhile knows nothing until the server has answered again. And
        whoever else gets a lock, gets it after the server has said here that the session ends.
        """
        # in this order: what it has told is read while it is being asked
        if self._is_told() or self._asking or monotonic() - self._answered > _FRESH:
            answered = threading.Event()
            self._put(answered, "SELECT 1", 0)
            answered.wait(_PATIENCE)
        ends = self._closing or self.is_lost
        return not ends and monotonic() - self._answered <= _FRESH

    def _is_told(self) -> bool:
        """Whether the server has said something that nobody has read yet."""
        try:
            return has_unread(self._raw)
        except (psycopg.Error, OSError, ValueError):
            return True  # the thread has just closed it

    async def aclose(self) -> None:
        """End the session, which frees all of its locks."""
        self._closing = True
        self._ring()
        await self.lost()

    def _ask(self, sql: str, key: int) -> UncancellableFuture[Any]:
        future: UncancellableFuture[Any] = UncancellableFuture(loop=self._loop)
        self._put(future, sql, key)
        return future

    def _put(self, whose: UncancellableFuture[Any] | threading.Event, sql: str, key: int) -> None:
        self._asked.put((whose, sql, key))
        if self.is_lost:  # perhaps the thread has looked for the last time
            self._refuse()
        else:
            self._ring()

    def _ring(self) -> None:
        with suppress(OSError):
            self._bell.send(b"!")

    def _serve(self) -> None:
        with suppress(psycopg.Error, OSError), selectors.DefaultSelector() as heard:
            heard.register(self._ears, selectors.EVENT_READ)
            heard.register(self._raw.fileno(), selectors.EVENT_READ)
            while not self._closing:
                told = heard.select(_LOOK)
                # a bell alone was for what the last ring has answered
                if not self._answer() and [it.fd for it, _ in told] != [self._ears.fileno()]:
                    self._execute("SELECT 1")
        self._ended.set()
        with suppress(psycopg.Error):
            self._raw.close()
        self._bell.close()
        self._ears.close()
        self._refuse()
        self._tell(self._lost.set)

    def _answer(self) -> int:
        """Do what is asked for; how much that was."""
        self._ears.settimeout(0.0)
        with suppress(BlockingIOError):
            self._ears.recv(4096)
        count = 0
        with suppress(Empty):
            while not self._closing:
                whose, sql, key = self._asked.get_nowait()
                try:
                    told = self._execute(sql, key)
                except (psycopg.Error, OSError):
                    self._reply(whose, SessionLost())
                    raise
                self._reply(whose, told)
                count += 1
        return count

    def _execute(self, sql: str, key: int = 0) -> Any:
        asked_at, self._asking = monotonic(), True
        row = self._raw.execute(sql, [key] if "%s" in sql else None).fetchone()
        self._answered, self._asking = asked_at, False
        return row[0] if row else None

    def _reply(self, whose: UncancellableFuture[Any] | threading.Event, told: Any) -> None:
        if isinstance(whose, threading.Event):
            whose.set()
        else:
            self._tell(lambda: resolve(whose, told))

    def _refuse(self) -> None:
        """Refuse what nobody carries out any more."""
        with suppress(Empty):
            while True:
                self._reply(self._asked.get_nowait()[0], SessionLost())

    def _tell(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(call)


def _prepared(connect: Connect, mark: int) -> psycopg.Connection[Any]:
    raw = connect()
    try:
        raw.execute(_LATER)
        raw.execute(_LOCK, [mark])
    except psycopg.Error:
        raw.close()
        raise SessionLost from None
    return raw
