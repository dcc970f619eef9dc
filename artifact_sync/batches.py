"""Work that is cheaper together: what comes while threads are busy is done by one call later.

What is done, and in how many threads, is the caller's to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from artifact_sync.offload import Firm, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from artifact_sync.offload import Offload

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Has items done in batches. On one event loop. Cancelling a waiter never abandons the work."""

    def __init__(
        self,
        offload: Offload,
        work: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        at_once: int,
        largest: int,
    ) -> None:
        """``work``: blocking; an outcome an item, in their order. ``at_once``: calls of it."""
        self._offload = offload
        self._work = work
        self._at_once = at_once
        self._largest = largest
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._draining = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """Have an item done; its outcome."""
        outcome: Firm[R] = Firm()
        self._waiting.append((item, outcome))
        if self._draining < self._at_once:
            self._draining += 1
            task = asyncio.get_running_loop().create_task(self._drain())
            self._tasks.add(task)  # the loop keeps none alive
            task.add_done_callback(self._tasks.discard)
        return await outcome

    async def _drain(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), self._largest)
            batch = [self._waiting.popleft() for _ in range(count)]
            await self._carry_out(batch)
        self._draining -= 1  # in one step with the look: what comes now begins another

    async def _carry_out(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            outcomes = await self._offload(self._work, [item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - every waiter is to hear of it
            outcomes = [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            settle(future, outcome)
