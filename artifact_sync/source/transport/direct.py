"""HTTP/1.1 without a proxy, by h11 over asyncio's streams, as a transport of httpx.

httpx's own imports httpcore and anyio, which takes as long as a whole pass with nothing new.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import h11
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Coroutine, Iterator

_READ = 64 * 1024
_NEXT_ADDRESS = 0.25
"""Seconds after which another address of a host is tried beside the first (RFC 8305)."""
_LONGEST_HEAD = 100 * 1024
_Origin = tuple[str, str, int | None]
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class DirectTransport(httpx.AsyncBaseTransport):
    """Connections to any origin, ``most`` at a time, kept open for ``keep`` idle seconds."""

    def __init__(self, tls: ssl.SSLContext, most: int, keep: float) -> None:
        self._tls = tls
        self._keep = keep
        self._slots = asyncio.Semaphore(most)
        self._idle: list[_Connection] = []
        self._opening: set[asyncio.Task[_Streams]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its answer. Raises ``httpx.TransportError``."""
        await self._slots.acquire()
        connection = None
        try:
            connection = self._kept(_origin(request.url)) or await self._open(request)
            head = await connection.exchange(request)
        except BaseException:
            self._release(connection)
            raise
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=_Body(self, connection),
            extensions={"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason},
        )

    async def aclose(self) -> None:
        """Close the connections that are idle, and those that nobody waits for any more."""
        while self._idle:
            self._idle.pop().close()
        while self._opening:
            await asyncio.wait(self._opening, timeout=_NEXT_ADDRESS)
            for task in self._opening:
                task.cancel()

    def done_with(self, connection: _Connection) -> None:
        """Keep a connection whose answer was read to its end; close any other."""
        if connection.recycle():
            self._idle.append(connection)
            self._release(None)
        else:
            self._release(connection)

    def _release(self, connection: _Connection | None) -> None:
        if connection is not None:
            connection.close()
        self._slots.release()

    def _kept(self, origin: _Origin) -> _Connection | None:
        """An open connection to an origin. Those that are open no more are closed."""
        now = asyncio.get_running_loop().time()
        for each in [it for it in self._idle if not it.usable(now - self._keep)]:
            self._idle.remove(each)
            each.close()
        for each in self._idle:
            if each.origin == origin:
                self._idle.remove(each)
                return each
        return None

    async def _open(self, request: httpx.Request) -> _Connection:
        url, seconds = request.url, request.extensions["timeout"]["connect"]
        with _errors(httpx.ConnectTimeout, httpx.ConnectError):
            reader, writer = await self._opened(self._streams(url, seconds))
        return _Connection(_origin(url), reader, writer)

    async def _streams(self, url: httpx.URL, seconds: float | None) -> _Streams:
        encrypted = url.scheme == "https"
        async with asyncio.timeout(seconds):  # also where nobody waits any more
            return await asyncio.open_connection(
                *_address(url),
                ssl=self._tls if encrypted else None,
                server_hostname=url.host if encrypted else None,
                happy_eyeballs_delay=_NEXT_ADDRESS,
            )

    async def _opened(self, opening: Coroutine[None, None, _Streams]) -> _Streams:
        """Open a connection; close it when nobody waits for it any more.

        asyncio loses the socket that is connected at the moment of a cancellation.
        """
        task = asyncio.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_close_unclaimed)
            raise


def _close_unclaimed(task: asyncio.Task[_Streams]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[1].transport.abort()


class _Connection:
    """One connection, for one exchange at a time."""

    def __init__(
        self, origin: _Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.origin = origin
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._timeout: float | None = None
        self._idle_since = 0.0

    async def exchange(self, request: httpx.Request) -> h11.Response:
        """Send a request without a body; the head of the answer."""
        timeouts = request.extensions["timeout"]
        self._timeout = timeouts["read"]
        head = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        with _errors(httpx.WriteTimeout, httpx.WriteError):
            self._writer.write((self._state.send(head) or b"") + self._end())
            async with asyncio.timeout(timeouts["write"]):
                await self._writer.drain()
        while not isinstance(event := await self.event(), h11.Response):
            pass  # 1xx
        return event

    def _end(self) -> bytes:
        return self._state.send(h11.EndOfMessage()) or b""

    async def event(self) -> h11.Event:
        """The next part of an answer."""
        with _errors(httpx.ReadTimeout, httpx.ReadError):
            while (event := self._state.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(self._timeout):
                    data = await self._reader.read(_READ)
                if not data and self._state.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("the server has disconnected without an answer")
                self._state.receive_data(data)
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise httpx.RemoteProtocolError("the server has ended the exchange")
        return event

    def recycle(self) -> bool:
        """Make it ready for another exchange, if it can be."""
        if not (self._state.our_state is self._state.their_state is h11.DONE):
            return False
        self._state.start_next_cycle()
        self._idle_since = asyncio.get_running_loop().time()
        return True

    def usable(self, since: float) -> bool:
        """Whether the server keeps it open, and it is not idle for too long."""
        ended = self._reader.at_eof() or self._writer.is_closing()
        return not ended and self._idle_since >= since

    def close(self) -> None:
        """Close it at once."""
        with suppress(RuntimeError):  # the event loop is closed
            self._writer.transport.abort()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; once read or given up, its connection goes back."""

    def __init__(self, transport: DirectTransport, connection: _Connection) -> None:
        self._transport = transport
        self._connection: _Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is not None:
            while isinstance(event := await self._connection.event(), h11.Data):
                yield bytes(event.data)

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.done_with(connection)


@contextmanager
def _errors(late: type[httpx.TransportError], broken: type[httpx.TransportError]) -> Iterator[None]:
    """Errors of asyncio, TLS and h11 as httpx's."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:  # ssl.SSLError is one
        raise broken(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.host, url.port


def _address(url: httpx.URL) -> tuple[str, int]:
    return url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
