"""Runs coroutines, on uvloop if it is installed, else on asyncio's event loop.

uvloop costs less a turn, and much less when another thread wakes it. The daemon does not use it:
its sockets rely on asyncio, which goes on when a connection could not be accepted.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from artifact_sync.runtime.threads import Threads

if sys.platform == "win32":
    from asyncio import ProactorEventLoop as _AsyncioLoop
else:
    from asyncio import SelectorEventLoop as _AsyncioLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_THREADS = 8
"""Threads for short calls and name lookups, which take as long as the system's resolver likes."""


class PlainLoop(_AsyncioLoop):
    """asyncio's event loop, which ends without waiting for threads."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(Threads(_THREADS, "short"))

    async def shutdown_default_executor(self, *_: float | None) -> None:
        """Leave it to ``close``. asyncio starts a thread, which may be one too many."""


def _quick_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - slow, and of use where much is downloaded
    except (ImportError, AttributeError):  # not installed; or too old for its Python, and fails so
        return PlainLoop

    class _Loop(uvloop.Loop):
        """uvloop with lookups in threads: those of libuv keep a process from ending."""

        def __init__(self) -> None:
            super().__init__()
            self.set_default_executor(Threads(_THREADS, "short"))

        async def getaddrinfo(self, host: Any, port: Any, **how: int) -> Any:
            """Look a name up, as ``asyncio.loop.getaddrinfo``."""
            look_up = partial(socket.getaddrinfo, host, port, **how)
            return await self.run_in_executor(None, look_up)

        async def shutdown_default_executor(self, *_: float | None) -> None:
            """As ``PlainLoop`` does."""

    return _Loop


def run_plainly(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as ``asyncio.run`` does, also where threads are scarce."""
    with asyncio.Runner(loop_factory=PlainLoop) as runner:
        return runner.run(main)


def run_quickly(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the faster loop.

    Name lookups are work of the default executor only by ``getaddrinfo``, which httpx uses;
    ``create_connection`` to a name would use libuv.
    """
    with asyncio.Runner(loop_factory=_quick_loop()) as runner:
        return runner.run(main)
