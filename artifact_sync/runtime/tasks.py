"""Runs tasks beside each other, and ends those that are not needed any more."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Coroutine

T = TypeVar("T")

_TRIES = 10
"""To cancel a task that goes on all the same."""


def is_being_cancelled() -> bool:
    """Whether this task was cancelled: an error is only how it ends."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end_of(task: asyncio.Task[Any], patience: float, pause: float = 1.0) -> None:
    """Wait for the end of a cancelled task, and raise its error.

    After ``patience`` seconds it is cancelled again and again, as what breaks off its work may wait
    for a server, too; and after some times it is left alone.
    """
    await asyncio.wait([task], timeout=patience)
    for _ in range(_TRIES):
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task], timeout=pause)
    if task.done() and not task.cancelled():
        task.result()


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Wait until one of these is done, cancel the others, and raise its error."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for what goes on without its waiter, unheard then."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)


@asynccontextmanager
async def running_beside(*works: Awaitable[None]) -> AsyncGenerator[None]:
    """Run these beside the block, then cancel what is still running."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
