"""Work that is cheaper together: what comes while threads are busy is done by one call later.

What is done, and in how many threads, is the caller's to say.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from artifact_sync.runtime.threads import UncancellableFuture, settle

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from artifact_sync.runtime.threads import Offload

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
        """``work``: blocking; an outcome an item, in their order.

        ``at_once``: calls of it at the most, each for the ``largest`` number of items or fewer.
        """
        self._offload = offload
        self._work = work
        self._at_once = at_once
        self._largest = largest
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running = 0

    async def __call__(self, item: T) -> R:
        """Have an item done; its outcome."""
        outcome: UncancellableFuture[R] = UncancellableFuture()
        self._waiting.append((item, outcome))
        self._begin_if_due()
        return await outcome

    def _begin_if_due(self) -> None:
        """Begin a call if there is none, or if as much waits as one may do.

        Then those that run are too slow by themselves; else more threads would only be in each
        other's way.
        """
        full = len(self._waiting) >= self._largest
        if self._waiting and (not self._running or (full and self._running < self._at_once)):
            self._begin()

    def _begin(self) -> None:
        """Have what waits done, or as much of it as one call may do."""
        count = min(len(self._waiting), self._largest)
        batch = [self._waiting.popleft() for _ in range(count)]
        work = self._offload.start(self._work, [item for item, _ in batch])
        self._running += 1
        # no task: one could be cancelled, and nobody who waits would ever hear of it
        work.add_done_callback(partial(self._done, batch))

    def _done(
        self,
        batch: Sequence[tuple[T, asyncio.Future[R]]],
        work: asyncio.Future[Sequence[R | Exception]],
    ) -> None:
        self._running -= 1
        error = work.exception()
        outcomes = work.result() if error is None else [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            settle(future, outcome)
        self._begin_if_due()
