"""Downloads by pyreqwest, a client in Rust, for direct links without a proxy.

pyreqwest's own httpx adapter is not used: it follows redirects, turns httpx's timeouts into one
limit for the whole download, and loses what had come when a body is cut. ``docs/decisions/0015``
tells which links are left to httpx.

The library's allocator reads its settings when it is loaded: it must not commit its memory at
once, and must give back soon what is free.

Its errors give causes as texts only, of which none is shown: they quote links.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "50")  # milliseconds

from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.exceptions import BuilderError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import Url

from artifact_sync.domain.errors import (
    BadResponse,
    Cut,
    DownloadError,
    HostUnreachable,
    HostUntrusted,
)
from artifact_sync.domain.http_headers import content_length
from artifact_sync.domain.ports import Opened
from artifact_sync.source.links.backend import TryNextBackend, framing
from artifact_sync.source.links.timeouts import ReadTimeouts
from artifact_sync.source.transport.clients import REDIRECTS, Redirected
from artifact_sync.source.transport.errors import (
    TRUST_HINT,
    body_error,
    no_answer,
    not_http,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
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

_UNTRUSTED = "invalid peer certificate"
_CONNECTING = "client error (connect)"
_NUMBER = re.compile(r"\(os error (\d{1,5})\)")
_UNRESOLVED = "dns error"
_TLS = ("tls", "fatal alert", "peer is incompatible", "peer misbehaved", "invalid message")

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
                causes = "; ".join(_causes(error)) or type(error).__name__
                raise OSError(f"it cannot be made ({causes})") from error

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
        return _exchange(streamed, target, self._timeouts)

    async def aclose(self) -> None:
        """Close the connections, and wait until the library's thread has left Python."""
        await self._client.close()
        await asyncio.to_thread(_drain_thread)


@asynccontextmanager
async def _exchange(
    request: StreamRequest, target: Target, timeouts: ReadTimeouts
) -> AsyncIterator[Opened]:
    """Context of one request and its answer."""
    try:
        response = await _answer(request, target, timeouts)
        headers = _checked_headers(response, target)
    except BaseException:
        # an answer may have come although we were cancelled; if none has, it says RuntimeError
        with suppress(PyreqwestError, RuntimeError):
            await request.__aexit__(None, None, None)
        raise
    framed = framing(response.status, headers)
    length = content_length(headers.get("content-length")) if framed == "length" else None
    chunks = _chunks(response.body_reader, target, timeouts, length)
    try:
        yield Opened(response.status, headers, framed, chunks)
    finally:
        with suppress(TimeoutError):  # what has come is had, and the client closes it some day
            await timeouts(request.__aexit__(None, None, None))


async def _answer(request: StreamRequest, target: Target, timeouts: ReadTimeouts) -> Response:
    try:
        # as long for a connection, then for the answer
        return await timeouts(request.__aenter__(), times=2)
    except PyreqwestError as error:
        raise _before_headers(error, target.host) from None  # its text holds the link
    except TimeoutError:
        raise no_answer(target.host) from None


async def _chunks(
    reader: ResponseBodyReader, target: Target, timeouts: ReadTimeouts, left: int | None
) -> AsyncIterator[Chunk]:
    """The body in the chunks in which it comes.

    ``left``: bytes to come; None: that is not known. hyper sees to it that they do.
    """
    while left != 0:
        try:
            # not the client's own limit: that goes on while nobody reads, as with a slow disk
            chunk = await timeouts(reader.read_chunk())
        except (PyreqwestError, TimeoutError) as error:
            late = isinstance(error, RequestTimeoutError | TimeoutError)
            raise body_error(target.host, late=late) from None
        if chunk is None:
            return
        if left is not None:
            left -= len(chunk)
        yield bytes(chunk) if len(chunk) < _WHOLE else memoryview(chunk)


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
    builder = builder.danger_accept_invalid_certs(enable=True)
    # RuntimeError where it would need another thread
    with suppress(PyreqwestError, RuntimeError), closing(builder.build()) as client:
        client.get("http://nowhere.invalid/").build().send()


def _before_headers(error: PyreqwestError, host: str) -> DownloadError | TryNextBackend:
    """Translate an error that came before the headers."""
    causes = _causes(error)
    if any(_UNTRUSTED in cause for cause in causes):
        return HostUntrusted(f"{host}: its certificate is not trusted: {TRUST_HINT}")
    if isinstance(error, BuilderError) or _is_tls(causes):
        return TryNextBackend()  # its limit of length, or no TLS in common
    if _CONNECTING in causes:  # the class says so of everything that happens before an answer
        late = isinstance(error, RequestTimeoutError)
        words = "no connection in time" if late else _why(causes) or "no connection"
        return HostUnreachable(f"no connection to {host}: {words}")
    if isinstance(error, RequestTimeoutError):
        return no_answer(host)
    if words := _why(causes):
        return Cut(f"the connection to {host} was lost before its answer: {words}")
    return not_http(host)


def _is_tls(causes: Sequence[str]) -> bool:
    """Whether no common TLS was found, which OpenSSL may have."""
    signs = any(sign in cause for cause in causes[1:] for sign in _TLS)
    return _CONNECTING in causes and signs and not _why(causes)


def _why(causes: Sequence[str]) -> str:
    """The system's message for the cause, else ours, else none."""
    for cause in causes:
        if number := _NUMBER.search(cause):
            return os.strerror(int(number[1])).lower()
        if _UNRESOLVED in cause:
            return "its name can't be resolved"
    return ""


def _causes(error: PyreqwestError) -> Sequence[str]:
    details = getattr(error, "details", None) or {}
    return [str(cause.get("message", "")).lower() for cause in details.get("causes") or ()]
