"""Let downloads in flight finish, and none begin."""

from __future__ import annotations

import asyncio


class Drain:
    """Open until it is closed for good. On one event loop."""

    def __init__(self) -> None:
        self.closed = False
        self.inside = 0
        """Downloads that are running, or being recorded."""
        self._empty = asyncio.Event()
        self._empty.set()

    def close(self) -> None:
        """Let nothing in any more; what is inside goes on."""
        self.closed = True

    def enter(self) -> bool:
        """Go in, if the gate is open still."""
        if not self.closed:
            self.inside += 1
            self._empty.clear()
        return not self.closed

    def leave(self) -> None:
        """Whoever has gone in comes out."""
        self.inside -= 1
        if not self.inside:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until nobody is inside."""
        await self._empty.wait()
