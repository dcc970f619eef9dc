"""Single-flight: one computation for all concurrent requests.

No client can delay or cancel it, and none waits for ever.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request

    from artifact_sync.domain.ports import Clock

_T = TypeVar("_T")


class TimedOut(Exception):
    """There was no answer in time, or the client has left."""


class SingleFlight(Generic[_T]):
    """Computes one answer at a time. A failure is not cached."""

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, _T]], clock: Clock, cached: float = 0.0
    ) -> None:
        self._work = work
        self._clock = clock
        self._cached = cached
        """Seconds for which an answer is cached."""
        self._task: asyncio.Task[_T] | None = None
        self._until = -math.inf

    async def answer(self, seconds: float | None, request: Request | None = None) -> _T:
        """The shared answer. ``TimedOut``, also when the client of ``request`` leaves.

        Raises the work's error. After a timeout the work goes on, and no second one is started
        until it ends.
        """
        task = self._task
        if task is None or (task.done() and self._clock.monotonic() >= self._until):
            task = self._begin()
        gone = [asyncio.ensure_future(_gone(request))] if request is not None else []
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait((task, *gone), timeout=seconds, return_when=first)
        finally:
            for waiter in gone:
                waiter.cancel()
        if not task.done():
            raise TimedOut
        return task.result()

    def _begin(self) -> asyncio.Task[_T]:
        self._until = math.inf
        self._task = asyncio.ensure_future(self._work())
        self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, task: asyncio.Task[_T]) -> None:
        failed = task.cancelled() or task.exception() is not None
        self._until = -math.inf if failed else self._clock.monotonic() + self._cached


async def _gone(request: Request) -> None:
    """Return when the client has left. Its body is discarded."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
