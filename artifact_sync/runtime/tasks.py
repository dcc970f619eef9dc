"""Runs tasks beside each other, and ends those that are not needed any more."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Coroutine

T = TypeVar("T")


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
