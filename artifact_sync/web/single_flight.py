"""What costs something to answer: worked out once for all who ask at the same time, or just after.

Nobody who asks can hold it up or break it off, and nobody waits for it for ever.
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


class Late(Exception):
    """There is no answer in time, or nobody any more to give it to."""


class SingleFlight(Generic[_T]):
    """One answer at a time. What failed is worked out again for the next who asks."""

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, _T]], clock: Clock, lasts: float = 0.0
    ) -> None:
        self._work = work
        self._clock = clock
        self._lasts = lasts
        """Seconds for which an answer is good."""
        self._task: asyncio.Task[_T] | None = None
        self._until = -math.inf

    async def answer(self, request: Request, seconds: float) -> _T:
        """The answer, for as long as its client is there. ``Late``; what the work raises.

        The work goes on when it is late: as long as it does, no second one is begun.
        """
        task = self._task
        if task is None or (task.done() and self._clock.monotonic() >= self._until):
            task = self._begin()
        gone = asyncio.ensure_future(_gone(request))
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait((task, gone), timeout=seconds, return_when=first)
        finally:
            gone.cancel()
        if not task.done():
            raise Late
        return task.result()

    def _begin(self) -> asyncio.Task[_T]:
        self._until = math.inf
        self._task = asyncio.ensure_future(self._work())
        self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, task: asyncio.Task[_T]) -> None:
        failed = task.cancelled() or task.exception() is not None
        self._until = -math.inf if failed else self._clock.monotonic() + self._lasts


async def _gone(request: Request) -> None:
    """Return when the client has left. A body that it sends is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
