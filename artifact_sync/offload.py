"""Blocking work off the event loop: disk, hashing. Cancelling a waiter never abandons the work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

P = ParamSpec("P")
T = TypeVar("T")


class Offload:
    """Runs blocking calls on an executor's threads."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin a call; whoever begins it must ``finish`` it."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, lambda: call(*args, **kwargs))

    async def finish(self, work: asyncio.Future[T]) -> T:
        """Wait for a call to its end, even when cancelled: only then is its file nobody's."""
        cancelled = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return work.result()

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call to its end and return what it returns."""
        return await self.finish(self.start(call, *args, **kwargs))
