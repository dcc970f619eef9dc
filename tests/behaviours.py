"""How a server can answer: honestly, or with each of the lies that the tests tell. No state.

A behaviour is a function of one visit. It is used for files and for the API's answers alike.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event

    from hostile_server import Request, Wire

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for something, and what an honest server would give for it."""

    request: Request
    wire: Wire
    number: int
    """Which visit to this thing it is; the first is 1."""
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def start(self) -> int | None:
        """The first byte that ``Range`` asks for, if it is there."""
        match = _RANGE.fullmatch(self.request.header("range") or "")
        return int(match[1]) if match else None


Behaviour = Callable[[Visit], None]


def etag_of(content: bytes) -> str:
    """A strong validator that is no MD5."""
    return f'"v-{hashlib.sha256(content).hexdigest()[:12]}"'


def full_headers(visit: Visit) -> dict[str, str]:
    """The headers of an honest 200. A header that the visit sets to nothing is left out."""
    plain = {"Content-Length": str(len(visit.content)), "ETag": etag_of(visit.content)}
    headers = plain | dict(visit.headers)
    return {name: value for name, value in headers.items() if value}


def honest(visit: Visit, pace: float = 0) -> None:
    """RFC 9110 as it is meant: 200, 206 for a range whose ``If-Range`` holds, 416 past the end."""
    start, headers = visit.start, full_headers(visit)
    if start is None or visit.request.header("if-range") not in {None, headers.get("ETag")}:
        visit.wire.head(200, headers.items())
        visit.wire.body(visit.content, pace)
    elif start >= len(visit.content):
        headers |= {"Content-Range": f"bytes */{len(visit.content)}", "Content-Length": "0"}
        visit.wire.head(416, headers.items())
    else:
        _part(visit, start, f"bytes {start}-{len(visit.content) - 1}/{len(visit.content)}", pace)


def _part(visit: Visit, start: int, content_range: str, pace: float = 0) -> None:
    rest = visit.content[start:]
    headers = full_headers(visit) | {
        "Content-Range": content_range,
        "Content-Length": str(len(rest)),
    }
    visit.wire.head(206, [(name, value) for name, value in headers.items() if value])
    visit.wire.body(rest, pace)


def paced(bytes_a_second: float) -> Behaviour:
    """Honest, but no faster than that."""
    return lambda visit: honest(visit, bytes_a_second)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first visit gets the first, the second the second, and all further ones the last."""
    return lambda visit: behaviours[min(visit.number, len(behaviours)) - 1](visit)


def when_resumed(behaviour: Behaviour, otherwise: Behaviour = honest) -> Behaviour:
    """One behaviour for requests with ``Range``, another for those without."""
    return lambda visit: (behaviour if visit.start is not None else otherwise)(visit)


def serving(content: bytes, behaviour: Behaviour = honest, **headers: str) -> Behaviour:
    """The behaviour with other content; header names are written with ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda visit: behaviour(
        replace(visit, content=content, headers={**visit.headers, **named})
    )


def cut(count: int, *, reset: bool = False) -> Behaviour:
    """The length of the whole, so many bytes of it (from the start or the range), and the end."""

    def behave(visit: Visit) -> None:
        start = _promised(visit)
        visit.wire.body(visit.content[start : start + count])
        (visit.wire.reset if reset else visit.wire.end)()

    return behave


def halting(at: int) -> Behaviour:
    """Honest up to this byte of the file; then nothing comes, for an hour."""

    def behave(visit: Visit) -> None:
        visit.wire.body(visit.content[_promised(visit) : at])
        visit.wire.wait(3600)
        visit.wire.end()

    return behave


def _promised(visit: Visit) -> int:
    """Send the head of an honest answer; where its body begins in the file."""
    if visit.start is None:
        visit.wire.head(200, full_headers(visit).items())
        return 0
    total = len(visit.content)
    headers = full_headers(visit) | {
        "Content-Range": f"bytes {visit.start}-{total - 1}/{total}",
        "Content-Length": str(total - visit.start),
    }
    visit.wire.head(206, headers.items())
    return visit.start


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    """A whole answer of that status; header names are written with ``_`` for ``-``."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]

    def behave(visit: Visit) -> None:
        visit.wire.head(code, [*named, ("Content-Length", str(len(body)))])
        visit.wire.body(body)

    return behave


def store_error(code: int, name: str) -> Behaviour:
    """An object store's error: XML with that code in it."""
    return status(code, store_error_page(name), Content_Type="application/xml")


def store_error_page(name: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
        f"<Code>{name}</Code><Message>No.</Message><RequestId>7f</RequestId></Error>"
    ).encode()


def chunked(*, last: bool = True, count: int | None = None) -> Behaviour:
    """The chunked transfer coding, with or without its last chunk; always from the first byte."""

    def behave(visit: Visit) -> None:
        headers = full_headers(visit) | {"Transfer-Encoding": "chunked"}
        del headers["Content-Length"]
        visit.wire.head(200, headers.items())
        content = visit.content[:count]
        for start in range(0, len(content), 10_000):
            visit.wire.chunk(content[start : start + 10_000])
        if last:
            visit.wire.raw(b"0\r\n\r\n")
        else:
            visit.wire.end()

    return behave


def until_close(count: int | None = None) -> Behaviour:
    """No length and no chunks: the close alone marks the end, which it may do too early."""

    def behave(visit: Visit) -> None:
        headers = full_headers(visit) | {"Connection": "close"}
        del headers["Content-Length"]
        visit.wire.head(200, headers.items())
        visit.wire.body(visit.content[:count])
        visit.wire.end()

    return behave


def whole(visit: Visit) -> None:
    """200 and everything, whatever range was asked for."""
    visit.wire.head(200, full_headers(visit).items())
    visit.wire.body(visit.content)


def part(start: int, content_range: str, **headers: str) -> Behaviour:
    """A 206 with the content from that byte on, labelled as told."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda visit: _part(
        replace(visit, headers={**visit.headers, **named}), start, content_range
    )


def raw(data: bytes) -> Behaviour:
    """These very bytes instead of an answer, and the end."""

    def behave(visit: Visit) -> None:
        visit.wire.raw(data)
        visit.wire.end()

    return behave


def stall(*, after: int | None = None, seconds: float = 60) -> Behaviour:
    """Not a byte for that long: before the head, or after so many bytes of the body."""

    def behave(visit: Visit) -> None:
        if after is not None:
            visit.wire.head(200, full_headers(visit).items())
            visit.wire.body(visit.content[:after])
        visit.wire.wait(seconds)
        visit.wire.end()

    return behave


def held(after: int, release: Event) -> Behaviour:
    """Honest, but what comes after so many bytes comes one at a time until ``release``."""

    def behave(visit: Visit) -> None:
        visit.wire.head(200, full_headers(visit).items())
        visit.wire.body(visit.content[:after])
        sent = after
        while not release.wait(0.02):
            visit.wire.body(visit.content[sent : sent + 1])
            sent += 1
        visit.wire.body(visit.content[sent:])

    return behave


def dripping(seconds: float) -> Behaviour:
    """One byte at a time, with so many seconds between two of them."""

    def behave(visit: Visit) -> None:
        visit.wire.head(200, full_headers(visit).items())
        for byte in visit.content:
            visit.wire.body(bytes([byte]))
            visit.wire.wait(seconds)

    return behave


def flipped(visit: Visit) -> None:
    """Everything as it should be but one bit of the body."""
    body = bytearray(visit.content)
    body[len(body) // 2] ^= 1
    visit.wire.head(200, full_headers(visit).items())
    visit.wire.body(bytes(body))


def redirect(location: str, code: int = 302) -> Behaviour:
    return status(code, Location=location)


def api_error(code: int, message: str = "no") -> Behaviour:
    """The service's own form of an error."""
    body = {"error_code": "Refused", "message": message, "request_id": "req-0451", "details": {}}
    return status(code, json.dumps(body).encode(), Content_Type="application/json")
