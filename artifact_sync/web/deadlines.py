"""Connections that cannot be held for ever: uvicorn's protocols with deadlines and a limit.

uvicorn itself waits for a head as long as its client likes, and takes headers of any size.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from artifact_sync.web.context import WebLimits

_LINGER = 5.0
"""Seconds that the last bytes have to leave, and for which what a refused client still sends is
dropped: were the connection cut at once, it would not get to see why (RFC 9112, 9.6)."""


def _refusal(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


_SLOW = _refusal(b"408 Request Timeout")
_HUGE = _refusal(b"431 Request Header Fields Too Large")


class _Uvicorn(asyncio.Protocol):
    """What both of uvicorn's protocols have and a guard needs."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    cycle: Any
    """The last request whose head is complete, with its answer; None: there was none."""
    flow: Any

    if TYPE_CHECKING:  # else they would stand before uvicorn's

        def on_response_complete(self) -> None:
            """An answer has been handed to the transport."""

        def shutdown(self) -> None:
            """Close, after the answer that has been begun."""


class _Transport:
    """A transport that is closed as its guard thinks best."""

    def __init__(self, transport: asyncio.Transport, guard: ConnectionDeadlines) -> None:
        self._transport = transport
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close once everything was written."""
        self._guard.close(self._transport)

    def is_closing(self) -> bool:
        """Whether nothing is to be written any more."""
        return self._guard.lingers or self._transport.is_closing()


class ConnectionDeadlines(_Uvicorn):
    """Comes before one of uvicorn's protocols."""

    limits: WebLimits
    most: int
    """Bytes of one exchange, framing and all, after which it is broken off."""
    since: float
    """When the client, or we, began with what the connection waits for."""
    lingers: bool
    """Everything was written; what comes is dropped."""
    _until: float
    _timer: asyncio.TimerHandle
    _bytes: int
    _heading: bool
    """A part of a head has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        guarded: Any = _Transport(cast("asyncio.Transport", transport), self)
        self.lingers = False
        super().connection_made(guarded)
        self._timer = self.loop.call_later(self.limits.head, self._look)
        self._bytes = 0
        self._heading = False
        self._allow(self.limits.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Hand bytes on, unless they are too many."""
        if self.lingers:
            return
        if self._at_rest and not self._heading:
            self._heading = True
            self._allow(self.limits.head)
        self._bytes += len(data)
        if self._bytes > self.most:
            self.transport.abort()
            return
        self._hand_on(data)
        if self._heading and self._bytes > self.limits.head_bytes:
            self._refuse(_HUGE)

    def on_response_complete(self) -> None:
        """An answer is on its way: wait for the next request, or go on with one that is here."""
        super().on_response_complete()
        if self._at_rest and self.cycle.more_body:
            self.transport.close()  # nobody reads the rest of this body
        if self.transport.is_closing():
            return
        self._bytes = 0
        self._heading = False
        self._allow(self.limits.idle if self._at_rest else self.limits.exchange)

    def close(self, transport: asyncio.Transport) -> None:
        """Close, at once or when a client that is still sending had a chance to read the answer."""
        if self.lingers or transport.is_closing():
            return
        if self._heading or (self.cycle is not None and self.cycle.more_body):
            self.lingers = True
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()
        self._allow(_LINGER)

    @property
    def held(self) -> bool:
        """Whether the client is the one that everything waits for."""
        return self._at_rest or self.cycle.more_body or self.flow.write_paused

    @property
    def _at_rest(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hand_on(self, data: bytes) -> None:
        before = self.cycle
        try:
            super().data_received(data)
        except Exception:  # noqa: BLE001 - h11's, of a client that goes on after its own mistake
            self.transport.abort()
        if self.cycle is not before:
            self._heading = False
            self._allow(self.limits.exchange)

    def _allow(self, seconds: float) -> None:
        """So long from now may pass until the next step."""
        self.since = self.loop.time()
        self._until = self.since + seconds
        if self._until < self._timer.when():
            self._timer.cancel()
            self._timer = self.loop.call_at(self._until, self._look)

    def _look(self) -> None:
        if self.loop.time() < self._until:
            self._timer = self.loop.call_at(self._until, self._look)
        elif self._heading and not self.transport.is_closing():
            self._refuse(_SLOW)
        else:
            self.transport.abort()

    def _refuse(self, answer: bytes) -> None:
        """Say why, if the client listens, and close."""
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        self.transport.close()


def guarded() -> type[ConnectionDeadlines]:
    """The guarded protocol: on httptools where it is installed, else on h11."""
    try:
        from uvicorn.protocols.http.httptools_impl import (  # noqa: PLC0415 - one of the two
            HttpToolsProtocol as Protocol,
        )
    except ImportError:
        return guarded_h11()
    return type("GuardedHttpTools", (ConnectionDeadlines, Protocol), {})


def guarded_h11() -> type[ConnectionDeadlines]:
    """The guarded protocol on h11."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415 - one of the two

    return type("GuardedH11", (ConnectionDeadlines, H11Protocol), {})


def protocol(
    kind: type[ConnectionDeadlines],
    config: Config,
    state: ServerState,
    limits: WebLimits,
    most: int,
) -> ConnectionDeadlines:
    """A protocol for one connection."""
    made: Any = kind
    guard: ConnectionDeadlines = made(config=config, server_state=state, app_state={})
    guard.limits = limits
    guard.most = most
    return guard
