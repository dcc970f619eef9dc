"""Which runs are looked at first: those whose artifacts vanish first, over all repositories."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.domain.vanishing import Urgency

_LONGEST = 60.0
"""Seconds that looks wait for the lists of other repositories, of which one may never come."""
_GLANCE = 0.5
"""Seconds between two glances at whether the process is about to stop."""


class LookSlots:
    """Bounds the runs under way; whoever waits for the most urgent run is next."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._turns = count()

    async def acquire(self, urgency: Urgency) -> None:
        """Wait for a slot and take it. Cancellable."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (urgency, next(self._turns), turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # it was ours already
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._free > 0:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                self._free -= 1
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

    async def wait(self, stopped: Callable[[], bool]) -> None:
        """Wait for all of them, bounded; end early when the process stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST):
                while not self._over.is_set() and not stopped():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._over.wait(), _GLANCE)


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

    async def to_look(self, stopped: Callable[[], bool]) -> None:
        """Wait until runs may be looked at."""
        self.listed()
        await self._listings.wait(stopped)
