"""Runs work ahead of its consumer, and hands on the results in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable

T = TypeVar("T")


async def in_order(work: Iterable[Coroutine[Any, Any, T]], ahead: int) -> AsyncGenerator[T]:
    """Yield results in order, while so much work is ahead, which bounds the memory."""
    waiting: deque[asyncio.Task[T]] = deque()
    try:
        for each in work:
            waiting.append(asyncio.create_task(each))
            if len(waiting) >= ahead:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
