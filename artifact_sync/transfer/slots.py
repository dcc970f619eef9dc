"""Fair semaphores for downloads: all slots, a pass's share of them, one slot's lease.

First come, first served. On one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """A semaphore that downloads hold. Its number can change while some are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, most: int) -> None:
        """Change the number; slots taken beyond it are given back first."""
        self._most = most
        self._admit()

    async def acquire(self) -> None:
        """Wait for a slot and take it. Cancellable."""
        if not self._waiting and self._taken < self._most:
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give()  # it was ours already
            raise

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody waits; return success."""
        self._admit()
        free = self._taken < self._most
        self._taken += free
        return free

    def release(self) -> None:
        """Give it back."""
        self._give()

    def _give(self) -> None:
        self._taken -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._taken < self._most:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)


class Share(Slots):
    """One pass's share of the slots, so that other passes keep some."""

    def __init__(self, slots: Slots, most: int) -> None:
        super().__init__(most)
        self._slots = slots

    async def acquire(self) -> None:
        """Wait for a slot; see ``Slots``."""
        await super().acquire()
        try:
            await self._slots.acquire()
        except BaseException:
            self._give()
            raise

    def try_acquire(self) -> bool:
        """Take a slot that nobody else wants; see ``Slots``."""
        taken = super().try_acquire()
        if taken and not self._slots.try_acquire():
            self._give()
            return False
        return taken

    def release(self) -> None:
        """Give one back; see ``Slots``."""
        self._slots.release()
        self._give()


class SlotLease:
    """A lease of a slot; release and re-acquire are idempotent."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._held = False

    async def take(self) -> None:
        """Take the slot, waiting for it if need be."""
        if not self._held:
            await self._slots.acquire()
            self._held = True

    def another(self) -> SlotLease | None:
        """A lease of one more slot, taken already; None when none is free."""
        if not self._slots.try_acquire():
            return None
        more = SlotLease(self._slots)
        more._held = True
        return more

    def give(self) -> None:
        """Release the slot."""
        if self._held:
            self._held = False
            self._slots.release()
