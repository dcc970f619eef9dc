"""The event loop of a pass: uvloop if it is installed, else asyncio.

uvloop costs less a turn, and much less when another thread wakes it. The daemon does not use it:
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


def _quick_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - slow, and of use where much is downloaded
    except (ImportError, AttributeError):  # not installed; or too old for its Python, and fails so
        return asyncio.new_event_loop

    class _Loop(uvloop.Loop):
        """uvloop with lookups in threads: those of libuv keep a process from ending."""

        async def getaddrinfo(self, host: Any, port: Any, **how: int) -> Any:
            """Look a name up, as ``asyncio.loop.getaddrinfo``."""
            look_up = partial(socket.getaddrinfo, host, port, **how)
            return await self.run_in_executor(None, look_up)

    return _Loop


def run_quickly(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as ``asyncio.run`` does, on the faster loop.

    Name lookups are work of the default executor only by ``getaddrinfo``, which httpx uses;
    ``create_connection`` to a name would use libuv.
    """
    with asyncio.Runner(loop_factory=_quick_loop()) as runner:
        return runner.run(main)
