"""Downloads by httpx: proxies, unusual links, systems without the Rust client."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

import httpx

from artifact_sync.domain.errors import (
    Cut,
    DownloadError,
    HostUnreachable,
    HostUntrusted,
    LinkUnusable,
)
from artifact_sync.domain.ports import Opened
from artifact_sync.source.links.backend import framing
from artifact_sync.source.transport.errors import (
    TRUST_HINT,
    body_error,
    no_answer,
    not_http,
    untrusted,
    why,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from artifact_sync.source.links.link_url import Target

_TROUBLE = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError)
"""Errors of a request or a body. TLS and sockets raise ``OSError`` past httpx's mapping."""


class HttpxBackend:
    """Sends by a client from ``transport.download_client``, which it does not close."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def send(self, target: Target, headers: Mapping[str, str]) -> AsyncIterator[Opened]:
        """Send a GET; see ``HttpBackend``."""
        response = await self._answer(target, headers)
        received = _headers(response)
        try:
            async with aclosing(_chunks(response, target)) as chunks:
                framed = framing(response.status_code, received)
                proxy = response.extensions.get("proxy", "")
                yield Opened(response.status_code, received, framed, chunks, proxy)
        finally:
            with suppress(*_TROUBLE):
                await response.aclose()

    async def _answer(self, target: Target, headers: Mapping[str, str]) -> httpx.Response:
        request = self._client.build_request("GET", target.url, headers=headers)
        request.url = target.url  # httpx has made a plain URL of it
        try:
            return await self._client.send(request, stream=True)
        except _TROUBLE as error:
            raise _before_headers(error, target.host) from error


async def _chunks(response: httpx.Response, target: Target) -> AsyncGenerator[bytes, None]:
    """The body as it comes from the network, no coding undone but the transfer's."""
    raw = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    try:
        async with aclosing(raw):
            async for chunk in raw:
                yield chunk
    except _TROUBLE as error:
        late = isinstance(error, httpx.TimeoutException)
        raise body_error(target.host, late=late) from error


def _headers(response: httpx.Response) -> dict[str, str]:
    """Headers by lower-case names, without a length that the transfer coding overrides."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    if "transfer-encoding" in headers:
        headers.pop("content-length", None)  # RFC 9112, 6.3
    return headers


def _before_headers(error: Exception, host: str) -> DownloadError:
    """Translate an error that came before the headers."""
    if untrusted(error):
        return HostUntrusted(f"{host}: {why(error)}: {TRUST_HINT}")
    if isinstance(error, UnicodeError | httpx.InvalidURL):
        return LinkUnusable(f"the link can't be used: {host} is no host name")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return HostUnreachable(f"no connection to {host}: {why(error)}")
    if isinstance(error, httpx.TimeoutException):
        return no_answer(host)
    if isinstance(error, httpx.ProtocolError):
        return not_http(host)
    return Cut(f"the connection to {host} was lost before its answer: {why(error)}")
