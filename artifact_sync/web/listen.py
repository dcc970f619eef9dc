"""Opens the listening sockets of ``web.listen``."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL
from ipaddress import ip_address
from typing import TYPE_CHECKING

from artifact_sync.config.urls import listen_address
from artifact_sync.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
