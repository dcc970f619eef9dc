"""One client's connection to the control socket, with time limits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.daemon.control.address import peer
from artifact_sync.daemon.control.protocol import LONGEST_REQUEST, Garbled, read_request

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncGenerator

    from artifact_sync.daemon.control.protocol import Request

_DISCARD = 1.0
"""Seconds to wait for the request of a client that was refused already."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on clients, in seconds if not said otherwise."""

    clients: int = 32
    """Clients at the same time."""
    request: float = 10.0
    """To receive the whole request."""
    send: float = 300.0
    """Until a client has taken what was sent; it may be suspended for a while."""
    ledger: float = 5.0
    """For the ledger's part of the status."""
    shutdown: float = 2.0
    """For answers under way when the daemon ends."""
    keepalive: float = 10.0
    """Without events, after which ``Alive`` is sent."""


class ClientGone(Exception):
    """The client has disconnected, or does not send or read in time."""


class ClientConnection:
    """A connection. Awaiting its methods raises ``ClientGone``."""

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, limits: ConnectionLimits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._has_request = False
        writer.transport.set_write_buffer_limits(0)  # drain waits until the client has read

    @property
    def user(self) -> int | None:
        """The user id of the client's process; None: unknown."""
        return peer(self._writer.get_extra_info("socket"))

    async def request(self) -> Request:
        """Read the client's request. ``Garbled``."""
        async with _within(self._limits.request, "it asks nothing"):
            line = await self._line()
        self._has_request = True
        return read_request(line)

    async def _line(self) -> bytes:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise Garbled(f"a request has at most {LONGEST_REQUEST} bytes") from None
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise ClientGone("it asked nothing") from None
            raise Garbled("the request ends in the midst of its line") from None

    async def discard_request(self) -> None:
        """Read a request that was refused unread: closing before would lose the answer."""
        if not self._has_request:
            with suppress(ClientGone):
                async with _within(_DISCARD, "it asks nothing"):
                    await self._reader.read(1)

    async def send(self, lines: bytes) -> None:
        """Send, and wait until the client has read it."""
        self._writer.write(lines)
        async with _within(self._limits.send, "it does not read"):
            await self._writer.drain()

    def send_nowait(self, line: bytes) -> None:
        """Send without waiting."""
        self._writer.write(line)

    def abort(self) -> None:
        """Disconnect at once."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Disconnect; what the client has not read is lost."""
        self._writer.close()
        if self._writer.transport.get_write_buffer_size():
            self.abort()


@asynccontextmanager
async def _within(seconds: float, problem: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ClientGone(problem) from None
    except ConnectionError as error:
        raise ClientGone(str(error) or "the connection broke") from None
