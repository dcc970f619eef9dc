"""Serves an ASGI application: accepts connections and limits their number.

uvicorn's own server is not used: it handles signals, polls ten times a second whether to stop, and
refuses connections beyond its limit where this one lets them wait.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.server import ServerState

from artifact_sync.runtime.logs import get_logger
from artifact_sync.web.context import WebLimits
from artifact_sync.web.deadlines import protocol_class
from artifact_sync.web.listen import is_open, listening, origin_of
from artifact_sync.web.log_throttle import LogThrottle

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable, Sequence

    from starlette.types import ASGIApp

    from artifact_sync.domain.settings import WebSettings
    from artifact_sync.web.deadlines import ConnectionDeadlines

_log = get_logger(__name__)

_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_POLL = 0.05
"""Seconds between two checks for room while there is none."""

_ACCEPT_RETRY = 1.0
"""Seconds to wait when a connection cannot be accepted."""

_SHUTDOWN = 1.0
"""Seconds for answers under way at the end."""


@asynccontextmanager
async def serving(
    settings: Callable[[], WebSettings],
    app: ASGIApp,
    limits: WebLimits | None = None,
    kind: type[ConnectionDeadlines] | None = None,
) -> AsyncGenerator[str]:
    """Serve within the block; yields the origin with the real port.

    ``UsageError`` when it cannot listen there. ``kind`` is the protocol class to use.
    """
    listen = settings().listen or ":0"
    sockets = await asyncio.to_thread(listening, listen)
    try:
        if is_open(sockets):
            _log.warning(_OPEN, listen=listen)
        server = _Server(app, limits or WebLimits(), settings, kind or protocol_class())
        async with _accepting(server, sockets):
            yield origin_of(sockets[0])
    finally:
        for bound in sockets:
            bound.close()


@asynccontextmanager
async def _accepting(server: _Server, sockets: Sequence[socket.socket]) -> AsyncGenerator[None]:
    accepting = [asyncio.create_task(server.accept(bound)) for bound in sockets]
    try:
        yield
    finally:
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        await server.end()


class _Server:
    """Accepts connections and keeps track of them."""

    def __init__(
        self,
        app: ASGIApp,
        limits: WebLimits,
        settings: Callable[[], WebSettings],
        kind: type[ConnectionDeadlines],
    ) -> None:
        self._limits = limits
        self._most = affordable(limits.connections, descriptors())
        self._kind = kind
        self._settings = settings
        self._state = ServerState()
        self._state.default_headers = list(_HEADERS)
        self._full = LogThrottle()
        self._config = uvicorn.Config(
            app,
            http=kind,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=int(limits.idle) + 60,
        )
        self._config.load()

    async def accept(self, bound: socket.socket) -> None:
        """Accept connections, as long as there is room."""
        while True:
            await self._wait_for_room()
            try:
                await self._accept_one(bound)
            except Exception as error:  # noqa: BLE001 - one failure must not end the server
                self._log_waiting(str(error))
                await asyncio.sleep(_ACCEPT_RETRY)

    async def end(self) -> None:
        """Let answers under way end, then close all connections."""
        for connection in self._connections:
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_SHUTDOWN)
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for connection in self._connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    async def _accept_one(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(bound)
        try:
            await loop.connect_accepted_socket(self._protocol, accepted)
        except BaseException:
            accepted.close()
            raise

    def _protocol(self) -> ConnectionDeadlines:
        # Leaves room for chunked framing, but not for chunks of a few bytes each.
        most = self._limits.head_bytes + 2 * self._settings().body_limit
        return self._kind(
            self._limits, most, config=self._config, server_state=self._state, app_state={}
        )

    async def _wait_for_room(self) -> None:
        """Wait for room; connections that wait for slow clients are closed."""
        while self._busy >= self._most:
            self._log_waiting("too many clients at once")
            self._drop_slowest()
            await asyncio.sleep(_POLL)

    def _drop_slowest(self) -> None:
        late = asyncio.get_running_loop().time() - self._limits.grace
        slow = [it for it in self._connections if it.held and it.since < late]
        for connection in sorted(slow, key=lambda it: it.since)[: max(1, self._most // 4)]:
            connection.transport.abort()

    @property
    def _busy(self) -> int:
        """The number of connections, or of requests if larger: one may outlive its connection."""
        return max(len(self._state.connections), len(self._state.tasks))

    @property
    def _connections(self) -> list[ConnectionDeadlines]:
        return [cast("ConnectionDeadlines", it) for it in self._state.connections]

    def _log_waiting(self, why: str) -> None:
        if times := self._full.due(asyncio.get_running_loop().time()):
            _log.warning("HTTP clients have to wait", why=why, times=times)


def affordable(wanted: int, descriptors: int | None) -> int:
    """How many connections to allow: the mirror and the ledger need descriptors, too."""
    return wanted if descriptors is None else max(1, min(wanted, descriptors // 4))


def descriptors() -> int | None:
    """How many this process may have open; None: unknown, or no limit."""
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else most


_OPEN = (
    "other machines can reach the web port: it has no TLS and no password; put a reverse proxy"
    " before it and listen on 127.0.0.1"
)
