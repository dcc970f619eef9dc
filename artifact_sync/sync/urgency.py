"""Which runs are looked at first: those whose artifacts vanish first, over all repositories."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from artifact_sync.runtime.tasks import first_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from artifact_sync.domain.vanishing import Urgency

_LONGEST = 60.0
"""Seconds that looks wait for the lists of other repositories, of which one may never come."""


class LookSlots:
    """Bounds the runs under way; the most urgent run of all queues is next.

    The queues are merged: a slot is given while each of them has named its most urgent run.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._undecided = 0
        """Queues of which the next run is not known yet."""
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._turns = count()

    @contextmanager
    def queue(self) -> Generator[Callable[[Urgency], Awaitable[None]]]:
        """Open a queue for the block, and give what waits for a slot."""
        self._undecided += 1
        try:
            yield self._acquire
        finally:
            self._undecided -= 1
            self._admit()

    async def _acquire(self, urgency: Urgency) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (urgency, next(self._turns), turn))
        self._undecided -= 1
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._undecided += 1
            else:
                self.release()  # it was ours already
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._free > 0 and not self._undecided:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                self._free -= 1
                self._undecided += 1  # its queue has yet to name the next one
                turn.set_result(None)


class Listings:
    """The lists that a pass reads, before any run is looked at."""

    def __init__(self) -> None:
        self._open = 1
        """Lists that are still to come, and the list of repositories itself."""
        self._over = asyncio.Event()

    def expect(self) -> None:
        """Another list is to come."""
        self._open += 1

    def came(self) -> None:
        """A list was read, or could not be."""
        self._open -= 1
        if not self._open:
            self._over.set()

    def end(self) -> None:
        """Nobody waits for a list any more."""
        self._over.set()

    async def wait(self) -> None:
        """Wait for all of them; whoever waits goes on at the same moment."""
        await self._over.wait()

    async def watch(self, stopped: Coroutine[Any, Any, object]) -> None:
        """End early when the process stops, or a list takes too long."""
        await first_of(self._over.wait(), stopped, asyncio.sleep(_LONGEST))
        self.end()


class RepoTurn:
    """Turn of a repository in a pass: to list, then to look."""

    def __init__(self, slots: asyncio.Semaphore, listings: Listings) -> None:
        self._slots = slots
        self._listings = listings
        self._listing = False
        listings.expect()

    async def __aenter__(self) -> Self:
        """Begin to list."""
        await self._slots.acquire()
        self._listing = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """End, also without a list."""
        self.listed()

    def listed(self) -> None:
        """The list was read: another repository may be listed."""
        if self._listing:
            self._listing = False
            self._slots.release()
            self._listings.came()

    async def to_look(self) -> None:
        """Wait until runs may be looked at."""
        self.listed()
        await self._listings.wait()
