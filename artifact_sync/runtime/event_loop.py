"""The event loop of a pass: uvloop's where it is installed, asyncio's elsewhere.

uvloop's costs less a turn, and being woken by another thread costs it far less. Not for the daemon:
its sockets rely on asyncio, which goes on when a connection could not be accepted.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_new_loop: Callable[[], asyncio.AbstractEventLoop]

try:
    import uvloop
except (ImportError, AttributeError):  # not installed; or too old for its Python, and fails so
    _new_loop = asyncio.new_event_loop
else:

    class _Loop(uvloop.Loop):
        """uvloop's, but for lookups: libuv's keep a process from ending while a server hangs."""

        async def getaddrinfo(self, host: Any, port: Any, **how: int) -> Any:
            """Look a name up; see ``asyncio.loop.getaddrinfo``."""
            look_up = partial(socket.getaddrinfo, host, port, **how)
            return await self.run_in_executor(None, look_up)

    _new_loop = _Loop


def run_quickly(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, on such a loop.

    ``getaddrinfo``, of which httpx makes use, is work of its default executor, as with asyncio's
    own loop; uvloop's ``create_connection`` to a name would not be.
    """
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)
