"""Stands between a program and a TCP server: lets bytes through, holds them back, or cuts them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal


class TcpProxy:
    """On a free port of 127.0.0.1. Its verbs may be called from any thread."""

    def __init__(self, portal: BlockingPortal, server: int) -> None:
        self._portal = portal
        self._server = server
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[StreamWriter] = set()
        self.port = 0

    def stall(self) -> None:
        """Hold everything back, also what new connections send: nobody is told anything."""
        self._portal.call(self._flows.clear)

    def flow(self) -> None:
        """Let it through again, and what was held back first."""
        self._portal.call(self._flows.set)

    def cut(self) -> None:
        """Break every connection off."""
        self._portal.call(self._abort)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            await self._flows.wait()
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._server)
            self._writers.add(ours)
            try:
                await asyncio.gather(self._pump(reader, ours), self._pump(theirs, writer))
            finally:
                self._writers.discard(ours)
                ours.close()
        self._writers.discard(writer)
        writer.close()

    async def _pump(self, source: StreamReader, sink: StreamWriter) -> None:
        """Until either side is gone, which ends the other direction, too."""
        while data := await source.read(1 << 16):
            await self._flows.wait()
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError

    async def begin(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        self._flows.set()
        self._abort()


@contextmanager
def tcp_proxy(portal: BlockingPortal, server: int) -> Iterator[TcpProxy]:
    """A proxy before a port of this machine, within the block, on a portal's loop."""
    proxy = TcpProxy(portal, server)
    serving = portal.call(proxy.begin)
    try:
        yield proxy
    finally:
        portal.call(proxy.end, serving)


@contextmanager
def portal() -> Iterator[BlockingPortal]:
    """An event loop on a thread, for proxies."""
    with start_blocking_portal() as one:
        yield one
