"""A ``Fetcher`` on httpx: opens a link, follows redirects, translates errors. Judges no status.

What a link looks like on the wire is ``target``'s; what an answer is worth is the caller's.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

import httpx

from artifact_sync.errors import (
    BadResponse,
    Cut,
    DownloadError,
    HostUnreachable,
    HostUntrusted,
    LinkUnusable,
    RefusedResponse,
    Stalled,
)
from artifact_sync.ports import Opened
from artifact_sync.source.target import NotALink, Target, parse_target, resolve
from artifact_sync.source.transport import MOST_REDIRECTS, Redirected
from artifact_sync.source.trouble import TRUST_HINT, untrusted, why
from artifact_sync.source.words import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from artifact_sync.model import Link, Validator
    from artifact_sync.ports import Framing

_TROUBLE = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError)
"""All that a request or a body ends in; TLS and sockets raise ``OSError`` past httpx's mapping."""


class HttpFetcher:
    """The ``Fetcher`` over a client from ``transport.download_client``, which its owner closes."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def open(
        self, link: Link, offset: int = 0, validator: Validator | None = None
    ) -> AsyncIterator[Opened]:
        """Open a link, from ``offset`` on if the server will; the contract is ``Fetcher``'s."""
        target = _target(link)
        response, host = await self._follow(target, _range(offset, validator))
        try:
            async with aclosing(_chunks(response, host)) as chunks:
                yield Opened(response.status_code, _headers(response), _framing(response), chunks)
        finally:
            with suppress(*_TROUBLE):
                await response.aclose()

    async def _follow(
        self, target: Target, headers: Mapping[str, str]
    ) -> tuple[httpx.Response, str]:
        """The answer that is no redirect, and the host that gave it."""
        visited = {target}
        for _ in range(MOST_REDIRECTS + 1):
            try:
                return await self._send(target, headers), _host(target)
            except Redirected as redirect:
                target = _next(target, redirect)
            if target in visited:
                raise RefusedResponse(f"{_host(target)} redirects in a circle")
            visited.add(target)
        raise RefusedResponse(f"{_host(target)}: more than {MOST_REDIRECTS} redirects")

    async def _send(self, target: Target, headers: Mapping[str, str]) -> httpx.Response:
        request = self._client.build_request("GET", target.url, headers=headers)
        request.url = target.url  # httpx has made a plain URL of it
        try:
            return await self._client.send(request, stream=True)
        except _TROUBLE as error:
            raise _before_headers(error, _host(target)) from error


async def _chunks(response: httpx.Response, host: str) -> AsyncGenerator[bytes, None]:
    """The body as it comes from the network, no coding undone but the transfer's."""
    raw = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    try:
        async with aclosing(raw):
            async for chunk in raw:
                yield chunk
    except _TROUBLE as error:
        raise _within_body(error, host) from error


def _target(link: Link) -> Target:
    try:
        return parse_target(link.url)
    except NotALink as error:
        raise LinkUnusable(f"the link can't be used: {error}") from None


def _next(target: Target, redirect: Redirected) -> Target:
    """Where a redirect leads, if it may be followed."""
    host = _host(target)
    try:
        following = resolve(target, redirect.location)
    except NotALink as error:
        raise RefusedResponse(f"{host} redirects to what can't be used: {error}") from None
    if target.scheme == "https" and following.scheme != "https":
        raise RefusedResponse(
            f"{host} redirects from https to http ({_host(following)}), which is not followed"
        )
    return following


def _range(offset: int, validator: Validator | None) -> dict[str, str]:
    """``Range`` and ``If-Range`` (RFC 9110, 14.2 and 13.1.5).

    A validator that can't be sent back as it came asks for the whole: a rest without a validator
    might be another file's.
    """
    if offset <= 0:
        return {}
    asked = {"Range": f"bytes={offset}-"}
    if not validator:
        return asked
    if not (validator.header.isascii() and validator.header.isprintable()):
        return {}
    return asked | {"If-Range": validator.header}


def _headers(response: httpx.Response) -> dict[str, str]:
    """By lower-case names. A length that the transfer coding overrides is left out."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    if "transfer-encoding" in headers:
        headers.pop("content-length", None)  # RFC 9112, 6.3
    return headers


def _framing(response: httpx.Response) -> Framing:
    """How the body's end is marked (RFC 9112, 6.3)."""
    if "transfer-encoding" in response.headers:
        return "chunked"  # h11 refuses every other transfer coding
    bodiless = response.status_code in {204, 304}
    return "length" if bodiless or "content-length" in response.headers else "close"


def _before_headers(error: Exception, host: str) -> DownloadError:
    """What it means that there was no answer."""
    if untrusted(error):
        return HostUntrusted(f"{host}: {why(error)}: {TRUST_HINT}")
    if isinstance(error, UnicodeError | httpx.InvalidURL):
        return LinkUnusable(f"the link can't be used: {host} is no host name")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return HostUnreachable(f"no connection to {host}: {why(error)}")
    if isinstance(error, httpx.TimeoutException):
        return Stalled(f"{host} sent no answer in time")
    if isinstance(error, httpx.ProtocolError):
        return BadResponse(f"{host} closed the connection or sent what is not valid HTTP")
    return Cut(f"the connection to {host} was lost before its answer: {why(error)}")


def _within_body(error: Exception, host: str) -> DownloadError:
    """What it means that a body broke off."""
    if isinstance(error, httpx.TimeoutException):
        return Stalled(f"{host} sent no byte in time")
    return Cut(f"the body from {host} ended before its end")


def _host(target: Target) -> str:
    return one_line(target.host, 100)
