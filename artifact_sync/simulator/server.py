"""Serves ASGI applications on 127.0.0.1 by uvicorn."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager, contextmanager
from errno import EACCES, EADDRINUSE
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from starlette.types import ASGIApp

HOST = "127.0.0.1"
_BACKLOG = 2048


@contextmanager
def bind_socket(port: int) -> Iterator[socket.socket]:
    """Bind a listening socket; port 0 is a free one. ``UsageError`` if taken."""
    # asyncio sends small answers at once only where the protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        # Elsewhere it means "restart at once"; on Windows it would let two programs share a port.
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen(_BACKLOG)  # a client may come before the server is up
        except (OSError, OverflowError) as error:
            raise UsageError(_no_port(port, error)) from error
        yield listening


def url_of(listening: socket.socket) -> str:
    """The origin of a listening socket."""
    host, port = listening.getsockname()
    return f"http://{host}:{port}"


@asynccontextmanager
async def answering(*apps: tuple[ASGIApp, socket.socket]) -> AsyncIterator[None]:
    """Serve within the block, then break off open answers."""
    servers = [_Server(app, listening) for app, listening in apps]
    running = [asyncio.create_task(server.serve([server.listening])) for server in servers]
    try:
        yield
    finally:
        for server in servers:
            server.stop()
        await asyncio.gather(*running)
        await asyncio.gather(*(server.abandon() for server in servers))


class _Server(uvicorn.Server):
    """uvicorn without signals, log and periodic work."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        # One route for all paths: routing is by raw segments, which Starlette's is not.
        everything = Starlette(routes=[Route("/{path:path}", app)])
        super().__init__(
            uvicorn.Config(
                everything,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=0,
                backlog=_BACKLOG,
            )
        )
        self.listening = listening
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Let ``serve`` return."""
        self._stopped.set()

    async def abandon(self) -> None:
        """Wait for answers that were broken off; drop idle readers."""
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    async def main_loop(self) -> None:
        """Wait for ``stop``; uvicorn polls ten times a second."""
        await self._stopped.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the program."""
        yield


def _no_port(port: int, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == EADDRINUSE:
        return f"port {port} is in use: choose another one, or 0 for any that is free"
    if number == EACCES:
        return f"port {port} may not be used by this user: choose one above 1023"
    return f"cannot listen on port {port}: choose one from 0 to 65535"
