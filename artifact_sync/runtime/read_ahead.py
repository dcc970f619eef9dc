"""Runs work ahead of its consumer, and hands on the results in order."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

S = TypeVar("S")
T = TypeVar("T")


async def in_order(work: Iterable[Coroutine[Any, Any, T]], ahead: int) -> AsyncGenerator[T]:
    """Yield results in order, while so much work is ahead, which bounds the memory."""

    async def items() -> AsyncGenerator[Coroutine[Any, Any, T]]:
        for each in work:
            yield each

    async with aclosing(in_order_of(items(), lambda it: it, ahead)) as results:
        async for result in results:
            yield result


async def in_order_of(
    items: AsyncGenerator[S], work: Callable[[S], Coroutine[Any, Any, T]], ahead: int
) -> AsyncGenerator[T]:
    """Yield the results of work on each item; as ``in_order``."""
    waiting: deque[asyncio.Task[T]] = deque()
    try:
        async for item in items:
            waiting.append(asyncio.create_task(work(item)))
            if len(waiting) >= ahead:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        await items.aclose()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
