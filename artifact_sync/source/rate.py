"""So many requests a second, evenly spaced, over all who ask."""

from __future__ import annotations

import asyncio
from math import inf


class Rate:
    """Turns, first come, first served. For one event loop."""

    def __init__(self, per_second: float) -> None:
        """``per_second``: 0 and ``inf`` are no limit."""
        self._gap = 1 / per_second if 0 < per_second < inf else 0.0
        self._next = -inf
        self._first = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for one's turn. Who gives up while waiting makes nobody wait longer."""
        if not self._gap:
            return
        async with self._first:
            now = asyncio.get_running_loop().time()
            if (wait := self._next - now) > 0:
                await asyncio.sleep(wait)
            self._next = max(self._next, now) + self._gap
