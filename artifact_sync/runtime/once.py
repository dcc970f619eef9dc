"""A value that is made on first use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Once(Generic[T]):
    """Makes a value on the first call; others wait. An error allows a retry."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._made: list[T] = []
        self._making = asyncio.Lock()

    async def __call__(self) -> T:
        """The value; raises what making it raises."""
        async with self._making:
            if not self._made:
                self._made.append(await self._make())
        return self._made[0]
