"""An ASGI application on sockets: accepting connections and uvicorn's protocols on them.

uvicorn's own server is left out: it takes signals, looks ten times a second whether to stop, and
refuses what is too much where we let it wait.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.server import ServerState

from artifact_sync.runtime.logs import get_logger
from artifact_sync.web.context import WebLimits
from artifact_sync.web.deadlines import guarded, protocol
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
_GLANCE = 0.05
"""Seconds between two looks for room while there is none."""

_NO_MORE_FILES = 1.0
"""Seconds to wait when the system gives no more sockets."""

_GOODBYE = 1.0
"""Seconds that answers have at the end."""


@asynccontextmanager
async def serving(
    settings: Callable[[], WebSettings],
    app: ASGIApp,
    limits: WebLimits | None = None,
    kind: type[ConnectionDeadlines] | None = None,
) -> AsyncGenerator[str]:
    """Answer at ``listen`` to the end of the block; yields the origin, port 0 resolved.

    ``UsageError`` when it cannot listen there. ``kind``: uvicorn's protocol to use, guarded.
    """
    listen = settings().listen or ":0"
    sockets = await asyncio.to_thread(listening, listen)
    try:
        if is_open(sockets):
            _log.warning(_OPEN, listen=listen)
        server = _Server(app, limits or WebLimits(), settings, kind or guarded())
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
    """Connections and what they share."""

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
        """Take one connection after the other, as long as there is room."""
        while True:
            await self._room()
            try:
                await self._take(bound)
            except Exception as error:  # noqa: BLE001 - one client's, or the system's; there are others
                self._say(str(error))
                await asyncio.sleep(_NO_MORE_FILES)

    async def end(self) -> None:
        """Let answers that were begun go out, then drop all connections."""
        for connection in self._connections:
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_GOODBYE)
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for connection in self._connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    async def _take(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(bound)
        try:
            await loop.connect_accepted_socket(self._protocol, accepted)
        except BaseException:
            accepted.close()
            raise

    def _protocol(self) -> ConnectionDeadlines:
        # Chunks may be small, but not of some bytes each all the way.
        most = self._limits.head_bytes + 2 * self._settings().body_limit
        return protocol(self._kind, self._config, self._state, self._limits, most)

    async def _room(self) -> None:
        """Wait until a connection more is not too many; who keeps us waiting has to go."""
        while self._busy >= self._most:
            self._say("too many clients at once")
            self._drop_slowest()
            await asyncio.sleep(_GLANCE)

    def _drop_slowest(self) -> None:
        late = asyncio.get_running_loop().time() - self._limits.patience
        slow = [it for it in self._connections if it.held and it.since < late]
        for connection in sorted(slow, key=lambda it: it.since)[: max(1, self._most // 4)]:
            connection.transport.abort()

    @property
    def _busy(self) -> int:
        """Connections, or requests where those are more: one may outlive its connection."""
        return max(len(self._state.connections), len(self._state.tasks))

    @property
    def _connections(self) -> list[ConnectionDeadlines]:
        return [cast("ConnectionDeadlines", it) for it in self._state.connections]

    def _say(self, why: str) -> None:
        if times := self._full.due(asyncio.get_running_loop().time()):
            _log.warning("HTTP clients have to wait", why=why, times=times)


def affordable(wished: int, descriptors: int | None) -> int:
    """How many connections to have at once: the mirror and the ledger need descriptors, too."""
    return wished if descriptors is None else max(1, min(wished, descriptors // 4))


def descriptors() -> int | None:
    """How many this process may have open; None: the platform does not tell, or has no limit."""
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
