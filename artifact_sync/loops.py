"""The event loop of sync and daemon: uvloop's where it is installed, asyncio's elsewhere.

uvloop's costs less a turn, and being woken by another thread costs it far less.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

quick_loop: Callable[[], asyncio.AbstractEventLoop]
"""Makes one. Names are looked up by its default executor, as asyncio's own loop does."""

try:
    import uvloop
except ImportError:  # it is of the extra "fast", and there is none for Windows
    quick_loop = asyncio.new_event_loop
else:

    class _Loop(uvloop.Loop):
        """uvloop's, but for lookups: libuv's keep a process from ending while a server hangs."""

        async def getaddrinfo(self, host: Any, port: Any, **how: int) -> Any:
            """Look a name up; see ``asyncio.loop.getaddrinfo``."""
            look_up = partial(socket.getaddrinfo, host, port, **how)
            return await self.run_in_executor(None, look_up)

    quick_loop = _Loop
