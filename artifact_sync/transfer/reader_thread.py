"""A body read in a thread of its own, where each piece is dealt with while it is still at hand.

Bytes that are read by one thread and hashed and written by another travel from one core's cache to
the other's, and each piece wakes two threads: that costs as much again as hashing them
(``docs/decisions/0015``).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from artifact_sync.runtime.threads import UncancellableFuture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from artifact_sync.domain.ports import Chunk
    from artifact_sync.runtime.threads import Offload

_OFTEN = 0.1
"""Seconds between two words about what has come."""


class Course(Struct):
    """A body that any event loop may read on, and whoever must hear of what is read from it."""

    chunks: AsyncIterator[Chunk]
    goes_on: Callable[[Chunk], bool] = lambda _: True
    """Told of each chunk, on the thread that has read it; whether it is to be read on there."""
    open: Callable[[], bool] = lambda: True
    """Whether these chunks are still the body's."""


class Arrivals:
    """How many bytes of a body have come. One thread at a time counts, the event loop tells."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        """``tell``: called on the event loop with the number of bytes since the last time."""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self.count = 0
        self._told = 0
        self._next = 0.0

    def tell(self) -> None:
        """Tell now. On the event loop."""
        count = self.count
        if count > self._told:
            new, self._told = count - self._told, count
            self._tell(new)

    def tell_soon(self) -> None:
        """Have it told, ten times a second at the most. From any thread."""
        now = monotonic()
        if now >= self._next:
            self._next = now + _OFTEN
            self._loop.call_soon_threadsafe(self.tell)


class Aside:
    """Reads bodies aside. On one event loop."""

    def __init__(self, offload: Offload, most: int) -> None:
        """``offload``: over threads of its own, for a body may hold one up. ``most``: bodies."""
        self._offload = offload
        self._room = most

    @property
    def room(self) -> bool:
        """Whether one more has a thread."""
        return self._room > 0

    async def __call__(self, chunks: AsyncIterator[Chunk], deal: Callable[[Chunk], bool]) -> None:
        """Deal with each chunk on another thread, up to the end or until ``deal`` says False.

        The chunks must be such that any event loop may read them; afterwards this one can read on.
        Raises what they and ``deal`` raise. Who is cancelled leaves when the thread has stopped.
        """
        reading = _Reading(chunks, deal)
        self._room -= 1
        try:
            await self._offload.begin(_Stoppable(reading.stop), reading.run)
        finally:
            self._room += 1


class _Stoppable(UncancellableFuture[None]):
    """The outcome of work that is told to stop when whoever waits is cancelled."""

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__()
        self._stop = stop

    def cancel(self, msg: Any = None) -> bool:
        """Have it stop; its outcome is still waited for."""
        self._stop()
        return super().cancel(msg)


class _Reading:
    """One body, by an event loop of the thread's own."""

    def __init__(self, chunks: AsyncIterator[Chunk], deal: Callable[[Chunk], bool]) -> None:
        self._chunks = chunks
        self._deal = deal
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def run(self) -> None:
        """To its end. Blocking."""
        with asyncio.Runner() as runner:
            runner.run(self._read())

    def stop(self) -> None:
        """Break it off; from another thread, at any time."""
        self._stopped = True
        if self._task is not None:
            with suppress(RuntimeError):  # the loop is closed: it has come to its end
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def _read(self) -> None:
        self._task = asyncio.current_task()
        if self._stopped:  # before there was a task to be told
            raise asyncio.CancelledError
        async for chunk in self._chunks:
            go_on = self._deal(chunk)
            if self._stopped:  # chunks that are there at once would let no cancellation through
                raise asyncio.CancelledError
            if not go_on:
                return
