"""Serves an ASGI application: listens, accepts connections, and limits their number.

uvicorn's own server is not used: it handles signals, polls ten times a second whether to stop, and
refuses connections beyond its limit where this one lets them wait.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import ExitStack, asynccontextmanager
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from artifact_sync.config.urls import listen_address
from artifact_sync.domain.errors import UsageError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import running_beside
from artifact_sync.web.context import WebLimits
from artifact_sync.web.deadlines import with_deadlines
from artifact_sync.web.log_throttle import LogThrottle

if TYPE_CHECKING:
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

_PROTOCOL = with_deadlines(AutoHTTPProtocol)
"""On httptools if installed, else on h11."""


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
        server = _Server(app, limits or WebLimits(), settings, kind or _PROTOCOL)
        try:
            async with running_beside(*map(server.accept, sockets)):
                yield origin_of(sockets[0])
        finally:
            await server.end()
    finally:
        for bound in sockets:
            bound.close()


class _Server:
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


_BACKLOG = 2048

_WHY = {
    EADDRINUSE: "the address is in use; choose another port, or 0 for any that is free",
    EACCES: "this user may not; choose a port above 1023",
    EADDRNOTAVAIL: "this machine has no such address",
}


def listening(listen: str) -> list[socket.socket]:
    """Listen on each address of the host, on one port; 0: a free one.

    ``UsageError`` when one cannot listen. Blocking: a host's name may have to be resolved.
    """
    host, port = listen_address(listen)
    with ExitStack() as stack:
        found: list[socket.socket] = []
        try:
            for family, address in _addresses(host):
                bound = stack.enter_context(_socket(family))
                _bind(bound, (address, port))
                port = bound.getsockname()[1]
                found.append(bound)
        except OSError as error:
            why = _WHY.get(error.errno or 0) or error.strerror or type(error).__name__
            raise UsageError(f"web.listen: cannot listen on {listen}: {why}") from error
        stack.pop_all()
        return found


def origin_of(bound: socket.socket) -> str:
    """The origin of URLs that reach a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_open(sockets: Sequence[socket.socket]) -> bool:
    """Whether other machines may reach one of them."""
    hosts = (it.getsockname()[0].partition("%")[0] for it in sockets)
    return not all(ip_address(host).is_loopback for host in hosts)


def _addresses(host: str) -> list[tuple[int, str]]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, *_, address in found))


def _socket(family: int) -> socket.socket:
    """A socket with TCP by name: only then does asyncio set TCP_NODELAY on its connections."""
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _bind(bound: socket.socket, address: tuple[str, int]) -> None:
    # Allows a restart at once; on Windows it would let two programs share a port.
    if sys.platform != "win32":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)  # noqa: FBT003 - its only argument
    bound.bind(address)
    bound.listen(_BACKLOG)
