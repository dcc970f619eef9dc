"""One question, asked by the standard library alone: what a list of runs begins with.

httpx and asyncio, by which everything else is asked, take longer to import than a pass with nothing
new has. Only the plainest answer counts here, HTTP/1.1's 200 with its whole body. Whatever else
comes, or does not come, is left to the client that knows redirects, proxies, retries and errors.
"""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import Timer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.model import Redacted
from artifact_sync.source.transport.tls import trusted
from artifact_sync.version import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from artifact_sync.domain.model import RepoName

PAGE_SIZE = "100"
"""Runs of a page, as the list is asked for everywhere."""

_PATIENCE = 3.0
"""Seconds for the whole exchange, and for each of its steps."""
_LONGEST = 16 * 1024 * 1024
_LINE = 64 * 1024
_MOST_FIELDS = 100


class NoBriefAnswer(Exception):
    """There was no plain answer, from which nothing follows: the question must be put again."""


class Service(Redacted, frozen=True):
    """Where and how the service is asked."""

    SHOWN = ("base_url", "ca_bundle")

    base_url: str
    token: str = ""
    ca_bundle: Path | None = None


def goes_straight(environ: Mapping[str, str]) -> bool:
    """Whether no proxy stands between, as far as the environment tells; elsewhere systems may."""
    named = any(value and name.lower().endswith("_proxy") for name, value in environ.items())
    return sys.platform == "linux" and not named


def brief_mark(service: Service, repo: RepoName) -> str:
    """``Source.mark``, or ``NoBriefAnswer``. Blocking, for some seconds at the most."""
    try:
        return sha256(_asked(service, repo)).hexdigest()
    except (OSError, ValueError, ConfigError) as error:
        raise NoBriefAnswer from error


def _asked(service: Service, repo: RepoName) -> bytes:
    url = urlsplit(service.base_url)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.username:
        raise ValueError("no plain address")
    parts = (quote(part, safe="", errors="surrogatepass") for part in repo)
    path = f"{url.path.rstrip('/')}/repos/{'/'.join(parts)}/cicd/runs?page_size={PAGE_SIZE}"
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        f"User-Agent: {USER_AGENT}",
        "Connection: close",
        *([f"Authorization: Bearer {_sendable(service.token)}"] if service.token else []),
    ]
    with (
        _connected(service, url.scheme, url.hostname, url.port) as channel,
        _given(_PATIENCE, channel),
    ):
        channel.sendall(("\r\n".join(head) + "\r\n\r\n").encode("ascii"))
        with channel.makefile("rb") as answer:
            return _body(answer)


def _sendable(token: str) -> str:
    """The token, when a header can carry it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("no token")
    return token


@contextmanager
def _connected(
    service: Service, scheme: str, host: str, port: int | None
) -> Iterator[socket.socket]:
    tls = trusted(service.ca_bundle).context() if scheme == "https" else None
    # as bytes: for a text, Python imports what encodes names of other scripts
    name: Any = host.encode("ascii")
    address = name, port or {"http": 80, "https": 443}[scheme]
    with socket.create_connection(address, timeout=_PATIENCE) as plain:
        if tls is None:
            yield plain
            return
        with tls.wrap_socket(plain, server_hostname=host) as encrypted:
            yield encrypted


@contextmanager
def _given(seconds: float, channel: socket.socket) -> Iterator[None]:
    """Break the exchange off after so long: one that drips answers each look in time."""

    def end() -> None:
        with suppress(OSError):
            channel.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _body(answer: BinaryIO) -> bytes:
    status = _line(answer).split(maxsplit=2)
    if status[:2] != [b"HTTP/1.1", b"200"]:
        raise ValueError("no plain answer")
    fields: dict[bytes, bytes] = {}
    while line := _line(answer):
        name, colon, value = line.partition(b":")
        twice = name.lower() in fields and name.lower() in _FRAMING
        if not colon or twice or len(fields) >= _MOST_FIELDS:
            raise ValueError("no plain answer")
        fields[name.lower()] = value.strip().lower()
    if fields.get(b"content-encoding", b"identity") != b"identity":
        raise ValueError("no plain answer")
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is None and length is not None and length.isdigit():
        return _exactly(answer, int(length))
    if coding == b"chunked" and length is None:
        return b"".join(_chunks(answer))
    raise ValueError("no plain answer")


_FRAMING = (b"content-length", b"transfer-encoding", b"content-encoding")


def _line(answer: BinaryIO) -> bytes:
    line = answer.readline(_LINE)
    if not line.endswith(b"\r\n"):
        raise ValueError("no plain answer")
    return line[:-2]


def _chunks(answer: BinaryIO) -> Iterator[bytes]:
    taken = 0
    while size := int(_line(answer).partition(b";")[0], 16):
        taken += size
        if size < 0 or taken > _LONGEST:
            raise ValueError("a long answer")
        yield _exactly(answer, size)
        if _line(answer):
            raise ValueError("no plain answer")
    while _line(answer):
        pass


def _exactly(answer: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size <= _LONGEST:
        block = answer.read1(min(size - len(content), _LINE))  # type: ignore[attr-defined]
        if not block:
            raise ValueError("no plain answer")
        content += block
    if len(content) != size:
        raise ValueError("a long answer")
    return bytes(content)
