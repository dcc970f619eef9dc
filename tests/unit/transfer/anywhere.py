"""A body that any event loop may read, in whatever thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Anywhere:
    """Pieces in their order, then an error, nothing for ever, or the end."""

    def __init__(
        self, *pieces: bytes, then: BaseException | None = None, endless: bool = False
    ) -> None:
        self._pieces = list(pieces)
        self._then = then
        self._endless = endless
        self.readers: list[int] = []
        """The thread of each read."""
        self.waited_for = threading.Event()
        """Somebody waits for what never comes."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        self.readers.append(threading.get_ident())
        if self._pieces:
            return self._pieces.pop(0)
        if self._endless:
            self.waited_for.set()
            await asyncio.Event().wait()
        raise self._then or StopAsyncIteration
