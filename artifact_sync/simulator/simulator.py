"""``Simulator``: a SourceCraft that tests and people can change, served on 127.0.0.1 by uvicorn."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from errno import EACCES, EADDRINUSE
from typing import TYPE_CHECKING

import uvicorn
from anyio.from_thread import start_blocking_portal

from artifact_sync.domain.errors import UsageError
from artifact_sync.simulator.api import ApiOrigin
from artifact_sync.simulator.files import FilesOrigin
from artifact_sync.simulator.scenario import demo_scenario
from artifact_sync.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from artifact_sync.simulator.scenario import Scenario

_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Running:
    """A running simulator."""

    simulator: Simulator
    base_url: str
    """Of the API."""
    files_url: str
    """Of the origin to which links lead, unless the scenario names another server."""

    @property
    def token(self) -> str:
        """A valid token; empty when the scenario has none."""
        return next(iter(self.simulator.scenario.api.tokens), "")


class Simulator(World):
    """A simulated service that can be served."""

    def __init__(self, scenario: Scenario | None = None) -> None:
        super().__init__(demo_scenario() if scenario is None else scenario)

    @asynccontextmanager
    async def serve(self, *, api_port: int = 0, files_port: int = 0) -> AsyncIterator[Running]:
        """Serve both origins on 127.0.0.1; port 0 takes a free one.

        Takes no signals over. At the end open answers are broken off. ``UsageError`` when a port
        cannot be had.
        """
        with _listening(api_port) as api, _listening(files_port) as files:
            self.base_url, self.files_url = _origin(api), _origin(files)
            servers = _Server(ApiOrigin(self), api), _Server(FilesOrigin(self), files)
            async with _serving(*servers):
                yield Running(self, self.base_url, self.files_url)

    def export_files(self, folder: Path) -> list[Path]:
        """Write all files below a folder, at the paths of ``files.base_url``."""
        return [stored.export(folder / key) for key, stored in self.objects.items()]


@contextmanager
def running_in_thread(
    scenario: Scenario | Simulator | None = None, *, api_port: int = 0, files_port: int = 0
) -> Iterator[Running]:
    """Serve on a thread, for callers without an event loop."""
    simulator = scenario if isinstance(scenario, Simulator) else Simulator(scenario)
    serving = simulator.serve(api_port=api_port, files_port=files_port)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving) as running:
        yield running


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Bind a listening socket; port 0 is a free one. ``UsageError`` if taken."""
    # asyncio sends small answers at once only where the protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        # Elsewhere it means "restart at once"; on Windows it would let two programs share a port.
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(_BACKLOG)  # a client may come before the server is up
        except (OSError, OverflowError) as error:
            raise UsageError(_no_port(port, error)) from error
        yield listening


def _no_port(port: int, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == EADDRINUSE:
        return f"port {port} is in use: choose another one, or 0 for any that is free"
    if number == EACCES:
        return f"port {port} may not be used by this user: choose one above 1023"
    return f"cannot listen on port {port}: choose one from 0 to 65535"


def _origin(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"http://{host}:{port}"


@asynccontextmanager
async def _serving(*servers: _Server) -> AsyncIterator[None]:
    """Serve within the block, then break off open answers."""
    running = [asyncio.create_task(server.serve([server.listening])) for server in servers]
    try:
        yield
    finally:
        for server in servers:
            server.stopped.set()
        await asyncio.gather(*running)
        states = [server.server_state for server in servers]
        await asyncio.gather(*(task for it in states for task in it.tasks), return_exceptions=True)
        for connection in [connection for it in states for connection in it.connections]:
            connection.transport.abort()
        await asyncio.sleep(0)


class _Server(uvicorn.Server):
    """uvicorn without signals, log and periodic work."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
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
        self.stopped = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn polls ten times a second."""
        await self.stopped.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the program."""
        yield
