"""One client's connection to the daemon, with its limits: a request comes in, lines go out."""

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

_HEARING = 1.0
"""Seconds for the request of a client that has its answer already."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients may cost. Seconds."""

    clients: int = 32
    asking: float = 10.0
    """For the whole request."""
    taking: float = 300.0
    """For what was sent to be taken; a client may be suspended for a while."""
    ledger: float = 5.0
    """For the ledger's part of the status."""
    parting: float = 2.0
    """For last words when the daemon ends."""
    alive: float = 10.0
    """After which a client hears that somebody is there, if nothing else."""


class ClientGone(Exception):
    """The client is gone, says nothing, or does not listen."""


class ClientConnection:
    """A connection. What is awaited raises ``ClientGone``."""

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, limits: ConnectionLimits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._heard = False
        writer.transport.set_write_buffer_limits(0)  # sent is what was taken, not what is kept

    @property
    def user(self) -> int | None:
        """The client's user id; None: unknown."""
        return peer(self._writer.get_extra_info("socket"))

    async def request(self) -> Request:
        """The client's request. ``Garbled``."""
        async with _present(self._limits.asking, "it asks nothing"):
            line = await self._line()
        self._heard = True
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

    async def heard_out(self) -> None:
        """Wait for a request that nobody needs: who hangs up before it loses his own answer."""
        if not self._heard:
            with suppress(ClientGone):
                async with _present(_HEARING, "it asks nothing"):
                    await self._reader.read(1)

    async def send(self, lines: bytes) -> None:
        """Send, and wait until it is taken."""
        self._writer.write(lines)
        async with _present(self._limits.taking, "it does not read"):
            await self._writer.drain()

    def last_word(self, line: bytes) -> None:
        """Send what the client may still take."""
        self._writer.write(line)

    def abort(self) -> None:
        """Hang up at once."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Hang up; what was not taken is lost."""
        self._writer.close()
        if self._writer.transport.get_write_buffer_size():
            self.abort()


@asynccontextmanager
async def _present(seconds: float, otherwise: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ClientGone(otherwise) from None
    except ConnectionError as error:
        raise ClientGone(str(error) or "the connection broke") from None
