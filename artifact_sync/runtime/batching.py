"""Batches queued items into single calls on worker threads."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from artifact_sync.runtime.threads import UncancellableFuture, resolve

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from artifact_sync.runtime.threads import Offload

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Processes items in batches. Cancelling a waiter never abandons its item."""

    def __init__(
        self,
        offload: Offload,
        work: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        at_once: int,
        largest: int,
    ) -> None:
        """``work``: a blocking call that returns one outcome an item, in order.

        ``at_once``: most calls at the same time. ``largest``: most items in one.
        """
        self._offload = offload
        self._work = work
        self._at_once = at_once
        self._largest = largest
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running = 0

    async def __call__(self, item: T) -> R:
        """Process an item and return its outcome."""
        outcome: UncancellableFuture[R] = UncancellableFuture()
        self._waiting.append((item, outcome))
        self._begin_if_due()
        return await outcome

    def _begin_if_due(self) -> None:
        """Begin a call if none runs, or if a full batch waits.

        A full batch shows that the running calls are too slow; more threads would otherwise only
        compete.
        """
        full = len(self._waiting) >= self._largest
        if self._waiting and (not self._running or (full and self._running < self._at_once)):
            self._begin()

    def _begin(self) -> None:
        """Begin a call for the items that wait, at most ``largest``."""
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
            resolve(future, outcome)
        self._begin_if_due()
