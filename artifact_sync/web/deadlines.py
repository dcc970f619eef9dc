"""Adds deadlines and size limits to uvicorn's protocols.

uvicorn itself waits for a request head for ever, and accepts headers of any size.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from artifact_sync.web.context import WebLimits

_LINGER = 5.0
"""Seconds to deliver the last bytes, while what a refused client still sends is discarded. Closing
at once could lose the answer (RFC 9112, 9.6)."""


def _refusal(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


_SLOW = _refusal(b"408 Request Timeout")
_HUGE = _refusal(b"431 Request Header Fields Too Large")


class _Uvicorn(asyncio.Protocol):
    """The common attributes of uvicorn's two protocols."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    cycle: Any
    """The last request with a complete head, and its answer; None: there was none."""
    flow: Any

    if TYPE_CHECKING:  # at run time they would hide uvicorn's

        def __init__(self, **uvicorn: Any) -> None: ...

        def on_response_complete(self) -> None:
            """An answer was handed to the transport."""

        def shutdown(self) -> None:
            """Close after the current answer."""


class _Transport:
    """A transport whose ``close`` goes through ``ConnectionDeadlines``."""

    def __init__(self, transport: asyncio.Transport, protocol: ConnectionDeadlines) -> None:
        self._transport = transport
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, unless the connection has ended meanwhile."""
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close once everything was sent."""
        self._protocol.close(self._transport)

    def is_closing(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._protocol.lingers or self._transport.is_closing()


class ConnectionDeadlines(_Uvicorn):
    """A mixin that goes before one of uvicorn's protocols, whose arguments it passes on.

    ``most``: bytes of one exchange, with framing, after which it is aborted.
    """

    since: float
    """When the present step began: waiting, receiving or answering."""
    lingers: bool
    """Whether everything was sent, and received bytes are discarded."""
    _until: float
    _timer: asyncio.TimerHandle
    _bytes: int
    _heading: bool
    """Whether a part of a head was received."""

    def __init__(self, limits: WebLimits, most: int, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limits = limits
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for a request."""
        wrapped: Any = _Transport(cast("asyncio.Transport", transport), self)
        self.lingers = False
        super().connection_made(wrapped)
        self._timer = self.loop.call_later(self._limits.head, self._look)
        self._bytes = 0
        self._heading = False
        self._allow(self._limits.head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, unless they are too many."""
        if self.lingers:
            return
        if self._at_rest and not self._heading:
            self._heading = True
            self._allow(self._limits.head)
        self._bytes += len(data)
        if self._bytes > self._most:
            self.transport.abort()
            return
        self._pass_on(data)
        if self._heading and self._bytes > self._limits.head_bytes:
            self._refuse(_HUGE)

    def on_response_complete(self) -> None:
        """Wait for the next request, or go on with a pipelined one."""
        super().on_response_complete()
        if self._at_rest and self.cycle.more_body:
            self.transport.close()  # the rest of this body is not read
        if self.transport.is_closing():
            return
        self._bytes = 0
        self._heading = False
        self._allow(self._limits.idle if self._at_rest else self._limits.exchange)

    def close(self, transport: asyncio.Transport) -> None:
        """Close at once, or after a client that still sends could read the answer."""
        if self.lingers or transport.is_closing():
            return
        if self._heading or (self.cycle is not None and self.cycle.more_body):
            self.lingers = True
            try:
                transport.write_eof()
                transport.resume_reading()
            except OSError:  # the client has left
                transport.abort()
        else:
            transport.close()
        self._allow(_LINGER)

    @property
    def held(self) -> bool:
        """Whether the connection waits for its client."""
        return self._at_rest or self.cycle.more_body or self.flow.write_paused

    @property
    def _at_rest(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _pass_on(self, data: bytes) -> None:
        before = self.cycle
        try:
            super().data_received(data)
        except Exception:  # noqa: BLE001 - h11's, when a client goes on after an error
            self.transport.abort()
        if self.cycle is not before:
            self._heading = False
            self._allow(self._limits.exchange)

    def _allow(self, seconds: float) -> None:
        """Set the deadline of the next step, from now."""
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
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        self.transport.close()


def with_deadlines(protocol: type[asyncio.Protocol]) -> type[ConnectionDeadlines]:
    """One of uvicorn's protocols with deadlines."""
    return type(f"{protocol.__name__}WithDeadlines", (ConnectionDeadlines, protocol), {})
