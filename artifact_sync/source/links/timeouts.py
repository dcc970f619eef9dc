"""Read timeouts that share one timer.

``asyncio.timeout`` makes a timer for each wait, which costs as much as the wait's own turn of the
event loop. Here one timer checks all waits of a loop, eight times within the limit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

_LOOKS = 8
"""Checks within one limit, so that a wait ends at most an eighth late."""


class _Wait:
    """One wait of a task."""

    __slots__ = ("before", "late", "task", "until")

    def __init__(self, task: asyncio.Task[object], until: float) -> None:
        self.task = task
        self.until = until
        self.before = task.cancelling()
        self.late = False


class ReadTimeouts:
    """Limits each wait to some seconds, or an eighth more, on any event loop.

    Also keeps cancellations that the Rust client would lose: now and then a cancelled await
    returns a result that has just come.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, set[_Wait]] = WeakKeyDictionary()
        """The waits of each loop that has a timer running; a loop may end before its timer."""

    async def __call__(self, work: Awaitable[T], times: int = 1) -> T:
        """Await ``work`` for ``times`` the limit. Raises ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can wait")
        wait = _Wait(task, loop.time() + times * self._seconds)
        waits = self._loops.get(loop)
        if waits is None:
            waits = self._begin(loop)
        waits.add(wait)
        try:
            return await work
        finally:
            waits.discard(wait)
            if task.cancelling() > wait.before:
                _end(wait)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> set[_Wait]:
        waits = self._loops[loop] = set()
        loop.call_later(self._seconds / _LOOKS, self._look, loop)
        return waits

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel late waits. The timer stops when nobody waits."""
        waits = self._loops[loop]
        if not waits:
            del self._loops[loop]
            return
        loop.call_later(self._seconds / _LOOKS, self._look, loop)
        now = loop.time()
        for wait in waits:
            if wait.until <= now and not wait.late:
                wait.late = True
                wait.task.cancel()


def _end(wait: _Wait) -> None:
    """Raise ``TimeoutError`` for our own cancellation, ``CancelledError`` for another's."""
    if wait.late and wait.task.uncancel() <= wait.before:
        raise TimeoutError
    raise asyncio.CancelledError
