"""Downloads by pyreqwest, a client in Rust, for direct links without a proxy.

pyreqwest's own httpx adapter is not used: it follows redirects, turns httpx's timeouts into one
limit for the whole download, and loses what had come when a body is cut. ``docs/decisions/0015``
tells which links are left to httpx.

The library's allocator reads its settings when it is loaded: it must not commit its memory at
once, and must give back soon what is free.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "50")  # milliseconds

from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url

from artifact_sync.domain.errors import BadResponse
from artifact_sync.domain.http_headers import content_length
from artifact_sync.domain.ports import Opened
from artifact_sync.source.links.backend import TryNextBackend, framing
from artifact_sync.source.links.reqwest_errors import before_headers, within_body
from artifact_sync.source.links.timeouts import ReadTimeouts
from artifact_sync.source.transport.errors import no_answer, no_byte
from artifact_sync.source.transport.redirects import REDIRECTS, Redirected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from pyreqwest.client import Client
    from pyreqwest.request import StreamRequest
    from pyreqwest.response import Response, ResponseBodyReader

    from artifact_sync.domain.ports import Chunk
    from artifact_sync.source.links.link_url import Target
    from artifact_sync.source.transport.clients import TransportSettings
    from artifact_sync.source.transport.tls import Trust

_KEEP_IDLE = timedelta(seconds=30)
_AHEAD = 0
"""Bytes of a body that are buffered before they are read: a cut would lose them."""

_WHOLE = 256 * 1024
"""Bytes from which a chunk is not copied: each, however small, keeps 408 KiB alive."""

_ONE = frozenset({"content-length", "location"})
"""Fields of which the first line counts; lengths that differ are an error of hyper."""

_environment = Lock()


class ReqwestBackend:
    """Sends by a client of its own. ``aclose`` it."""

    def __init__(self, client: Client, timeout: float, *, tls: bool) -> None:
        """``timeout``: seconds without a byte. ``tls``: whether it may be trusted with https."""
        self._client = client
        self._timeouts = ReadTimeouts(timeout)
        self._tls = tls

    @classmethod
    def made(cls, settings: TransportSettings, trust: Trust, user_agent: str) -> ReqwestBackend:
        """Make a backend with these authorities and no proxy. ``OSError``: none can be read."""
        timeout = timedelta(seconds=settings.timeout)
        builder = (
            ClientBuilder()
            .no_proxy()
            .follow_redirects(enable=False)
            .referer(enable=False)
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .user_agent(user_agent)
            .default_headers({"Accept-Encoding": "identity"})
            .connect_timeout(timeout)
            .pool_idle_timeout(_KEEP_IDLE)
            .pool_max_idle_per_host(settings.jobs)
        )
        with _trusting(trust):
            try:
                # OpenSSL goes by the names of a folder's files, and this library takes them all
                return cls(builder.build(), settings.timeout, tls=trust.folder is None)
            except PyreqwestError as error:
                raise OSError("no certificate authorities") from error

    def send(
        self, target: Target, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Opened] | None:
        """Send a GET; see ``HttpBackend``."""
        url = _exact(target.text) if self._tls or target.scheme == "http" else None
        if url is None:
            return None
        request = self._client.get(url)
        if headers:
            request = request.headers(headers)
        streamed = request.streamed_read_buffer_limit(_AHEAD).build_streamed()
        return _Exchange(streamed, target, self._timeouts)

    async def aclose(self) -> None:
        """Close the connections, and wait until the library's thread has left Python."""
        await self._client.close()
        await asyncio.to_thread(_drain_thread)


class _Exchange:
    """Context of one request and its answer."""

    def __init__(self, request: StreamRequest, target: Target, timeouts: ReadTimeouts) -> None:
        self._request = request
        self._target = target
        self._timeouts = timeouts

    async def __aenter__(self) -> Opened:
        try:
            response = await self._answer()
            headers = _checked_headers(response, self._target)
        except BaseException:
            # an answer may have come although we were cancelled; if none has, it says RuntimeError
            with suppress(PyreqwestError, RuntimeError):
                await self._request.__aexit__(None, None, None)
            raise
        framed = framing(response.status, headers)
        length = content_length(headers.get("content-length")) if framed == "length" else None
        chunks = _Chunks(response.body_reader, self._target, self._timeouts, length)
        return Opened(response.status, headers, framed, chunks)

    async def __aexit__(self, *_: object) -> None:
        with suppress(TimeoutError):  # what has come is had, and the client closes it some day
            await self._timeouts(self._request.__aexit__(None, None, None))

    async def _answer(self) -> Response:
        try:
            # as long for a connection, then for the answer
            return await self._timeouts(self._request.__aenter__(), times=2)
        except PyreqwestError as error:
            raise before_headers(error, self._target.host) from None  # its text holds the link
        except TimeoutError:
            raise no_answer(self._target.host) from None


class _Chunks:
    """Iterates over the body in the chunks in which it comes."""

    def __init__(
        self, reader: ResponseBodyReader, target: Target, timeouts: ReadTimeouts, length: int | None
    ) -> None:
        self._reader = reader
        self._target = target
        self._timeouts = timeouts
        self._left = length
        """Bytes still to come; None: that is not known. hyper sees to it that they do."""

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> Chunk:
        if self._left == 0:
            raise StopAsyncIteration
        try:
            # not the client's own limit: that goes on while nobody reads, as with a slow disk
            chunk = await self._timeouts(self._reader.read_chunk())
        except PyreqwestError as error:
            raise within_body(error, self._target.host) from None
        except TimeoutError:
            raise no_byte(self._target.host) from None
        if chunk is None:
            raise StopAsyncIteration
        if self._left is not None:
            self._left -= len(chunk)
        return bytes(chunk) if len(chunk) < _WHOLE else memoryview(chunk)


def _exact(text: str) -> Url | None:
    """The library's URL of a link, unless it would normalise the link."""
    try:
        url = Url(text)
    except ValueError:
        return None
    return url if str(url) == text else None


def _checked_headers(response: Response, target: Target) -> dict[str, str]:
    """The headers by lower-case names. Raises ``Redirected``, and ``BadResponse``."""
    headers = _headers(response)
    if response.status in REDIRECTS and "location" in headers:
        raise Redirected(response.status, headers["location"].encode("latin-1"))
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked":
            raise BadResponse(f"{target.host} sent what is not valid HTTP")
        headers.pop("content-length", None)  # RFC 9112, 6.3
    return headers


def _headers(response: Response) -> dict[str, str]:
    """Headers, lines of one name joined. ``TryNextBackend`` when one is not ASCII."""
    headers: dict[str, str] = {}
    try:
        for name, value in response.headers.items():
            known = headers.get(name)
            joined = value if known is None else f"{known}, {value}"
            headers[name] = joined if name not in _ONE else known or value
    except ValueError:
        raise TryNextBackend from None
    return headers


@contextmanager
def _trusting(trust: Trust) -> Iterator[None]:
    """Have the library load these authorities only, by its environment variables.

    Its own setting adds to those of the system, and ``source.ca_bundle`` means that one alone.
    """
    with _environment:
        before = {name: os.environ.get(name) for name in trust.environment}
        _set(trust.environment)
        try:
            yield
        finally:
            _set(before)


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _drain_thread() -> None:
    """Return once the library's thread has left Python.

    The last answer wakes us from within that thread. Should the interpreter end before the thread
    has left it, the process aborts. The thread does one thing at a time, so this round trip waits
    for it: a request that is refused before it is sent. This client sends nothing, and needs no
    certificates.
    """
    builder = SyncClientBuilder().no_proxy().https_only(enable=True)
    client = builder.danger_accept_invalid_certs(enable=True).build()
    try:
        client.get("http://nowhere.invalid/").build().send()
    except PyreqwestError:
        pass
    finally:
        client.close()
