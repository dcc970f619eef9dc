"""An answer as a value; applies faults to it and sends it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import reduce
from html import escape
from typing import TYPE_CHECKING

from artifact_sync.simulator import faults
from artifact_sync.simulator.content import Content, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import Receive, Send

_CHUNK = 256 << 10
_STEPS_A_SECOND = 20


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers, a part of a content, and faults while it is sent."""

    status: int
    content: Content
    headers: Mapping[str, str] = field(default_factory=dict)
    start: int = 0
    stop: int = 0
    told_total: int | None = None
    """For 206: the total in ``Content-Range``; None: the true one."""
    delay: float = 0.0
    cut_at: int | None = None
    """Close after so many bytes of the body."""
    stall: tuple[int, float] | None = None
    """After so many bytes send nothing for so many seconds."""
    rate: int | None = None
    """Bytes a second."""
    flip: int | None = None
    """An offset in the content whose byte is sent with its lowest bit flipped."""

    @property
    def length(self) -> int:
        """The body's ``Content-Length``."""
        return self.stop - self.start

    def with_headers(self, more: Mapping[str, str]) -> Reply:
        """The same with more headers."""
        return replace(self, headers={**self.headers, **more})

    def header_lines(self, now: float) -> list[tuple[bytes, bytes]]:
        """All headers in ASGI's form."""
        headers = {"date": formatdate(now, usegmt=True), "content-length": str(self.length)}
        headers |= self.headers
        if self.status == 206:  # noqa: PLR2004 - Partial Content
            total = self.content.size if self.told_total is None else self.told_total
            headers["content-range"] = f"bytes {self.start}-{self.stop - 1}/{total}"
        return [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]

    def read(self, at: int, length: int) -> bytes:
        """Read from the body, with its faults."""
        offset = self.start + at
        piece = self.content.read(offset, min(length, self.length - at))
        if self.flip is None or not offset <= self.flip < offset + len(piece):
            return piece
        spoilt = bytearray(piece)
        spoilt[self.flip - offset] ^= 1
        return bytes(spoilt)


def whole_reply(status: int, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Make a reply of bytes in memory."""
    return Reply(status, Literal(body), headers, 0, len(body))


def error_page(status: int, code: str, message: str, resource: str = "") -> Reply:
    """Make an object store's XML error. It shows ``resource``: pass no query."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<Resource>{escape(resource)}</Resource><RequestId>simulated</RequestId></Error>"
    )
    return whole_reply(status, body.encode(), {"content-type": "application/xml"})


def spoilt(reply: Reply, struck: Iterable[faults.AnyFault]) -> Reply:
    """Apply faults to a reply. The origins obey the other kinds."""
    return reduce(_spoil, struck, reply)


def _spoil(reply: Reply, fault: faults.AnyFault) -> Reply:  # noqa: PLR0911 - a case a fault
    match fault:
        case faults.CutFault(after=share):
            return replace(reply, cut_at=int(reply.length * share))
        case faults.Stall(after=share, seconds=seconds):
            return replace(reply, stall=(int(reply.length * share), seconds))
        case faults.Slow(rate=rate):
            return replace(reply, rate=rate)
        case faults.Delay(seconds=seconds):
            return replace(reply, delay=reply.delay + seconds)
        case faults.Flip(at=share):
            return replace(reply, flip=int((reply.content.size - 1) * share))
        case faults.Truncate(after=share):
            return replace(reply, stop=reply.start + int(reply.length * share))
        case faults.WrongRange() if reply.status == 206:  # noqa: PLR2004 - Partial Content
            return _wrong_range(reply, fault)
        case faults.ErrorPageFault(code=code):
            return error_page(200, code, "We encountered an internal error.")
        case _:
            return reply


def _wrong_range(reply: Reply, fault: faults.WrongRange) -> Reply:
    moved = (reply.start + fault.shift, reply.start - fault.shift)
    start = next((at for at in moved if 0 <= at < reply.stop), reply.start)
    return replace(reply, start=start, told_total=reply.content.size + fault.total)


async def send_reply(reply: Reply, now: float, receive: Receive, send: Send) -> None:
    """Send a reply dated ``now``. A cut one stays incomplete, so the server closes."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await _pause(gone, reply.delay)
        headers = reply.header_lines(now)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await _send_body(reply, gone, send)
        if reply.cut_at is None and not gone.done():
            await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone


async def _send_body(reply: Reply, gone: asyncio.Future[None], send: Send) -> None:
    """Send the body up to its end or cut, while the client is there."""
    end = reply.length if reply.cut_at is None else reply.cut_at
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def stretch(at: int, until: int) -> None:
        while at < until and not gone.done():
            piece = reply.read(at, min(until - at, _step(reply.rate)))
            at += len(piece)
            due = began + at / reply.rate if reply.rate else 0.0
            await _pause(gone, due - loop.time())
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    stall_at, stall_for = reply.stall or (end, 0.0)
    await stretch(0, min(stall_at, end))
    await _pause(gone, stall_for)
    await stretch(stall_at, end)


def _step(rate: int | None) -> int:
    return _CHUNK if rate is None else max(1, min(_CHUNK, rate // _STEPS_A_SECOND))


async def _pause(gone: asyncio.Future[None], seconds: float) -> None:
    """Wait, at most until the client has gone. Yields to others in any case."""
    await (asyncio.wait({gone}, timeout=seconds) if seconds > 0 else asyncio.sleep(0))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
