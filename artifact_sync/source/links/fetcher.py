"""Opens links and follows their redirects, as ``ports.Fetcher``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import HostUntrusted, LinkUnusable, RefusedResponse
from artifact_sync.source.links.backend import TryNextBackend
from artifact_sync.source.links.link_url import NotALink, Target, parse_target, resolve_redirect
from artifact_sync.source.transport.redirects import MOST_REDIRECTS, Redirected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from artifact_sync.domain.model import Link, Validator
    from artifact_sync.domain.ports import Opened
    from artifact_sync.source.links.backends import HttpBackends


class HttpFetcher:
    """Opens links by the first backend that can. Does not close the backends."""

    def __init__(self, backends: HttpBackends) -> None:
        self._backends = backends

    def open(
        self,
        link: Link,
        offset: int = 0,
        validator: Validator | None = None,
        last: int | None = None,
    ) -> AbstractAsyncContextManager[Opened]:
        """Open a link, from ``offset`` on if the server supports it; see ``ports.Fetcher``."""
        return _Opening(self._backends, link, _range(offset, validator, last))


class _Opening:
    """Context of one open link: the request that was not redirected."""

    def __init__(self, backends: HttpBackends, link: Link, headers: Mapping[str, str]) -> None:
        self._backends = backends
        self._link = link
        self._headers = headers
        self._sent: AbstractAsyncContextManager[Opened]

    async def __aenter__(self) -> Opened:
        target = _target(self._link)
        try:
            return await self._send(target)
        except Redirected as redirect:
            return await self._follow(target, redirect)

    async def _follow(self, target: Target, redirect: Redirected) -> Opened:
        """Follow redirects to the answer that is none."""
        visited: set[Target] = set()
        for _ in range(MOST_REDIRECTS):
            visited.add(target)
            target = _next(target, redirect)
            if target in visited:
                raise RefusedResponse(f"{target.host} redirects in a circle")
            try:
                return await self._send(target)
            except Redirected as another:
                redirect = another
        raise RefusedResponse(f"{target.host}: more than {MOST_REDIRECTS} redirects")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._sent.__aexit__(kind, error, trace)

    async def _send(self, target: Target) -> Opened:
        """Send by the first backend that can; after a refused certificate, ask the next."""
        trouble: Exception | None = None
        for backend in await self._backends.ready():
            sent = backend.send(target, self._headers)
            if sent is not None:
                self._sent = sent
                try:
                    return await sent.__aenter__()
                except (HostUntrusted, TryNextBackend) as error:
                    trouble = error
        raise trouble or LinkUnusable(f"nothing can carry the link to {target.host}")


def _target(link: Link) -> Target:
    try:
        return parse_target(link.url)
    except NotALink as error:
        raise LinkUnusable(f"the link can't be used: {error}") from None


def _next(target: Target, redirect: Redirected) -> Target:
    """Where a redirect leads, if it may be followed."""
    host = target.host
    try:
        following = resolve_redirect(target, redirect.location)
    except NotALink as error:
        raise RefusedResponse(f"{host} redirects to what can't be used: {error}") from None
    if target.scheme == "https" and following.scheme != "https":
        raise RefusedResponse(
            f"{host} redirects from https to http ({following.host}), which is not followed"
        )
    return following


def _range(offset: int, validator: Validator | None, last: int | None) -> dict[str, str]:
    """``Range`` and ``If-Range`` (RFC 9110, 14.2 and 13.1.5).

    A validator that can't be sent back as it came asks for the whole: a rest without a validator
    might be another file's.
    """
    if offset <= 0:
        return {}
    asked = {"Range": f"bytes={offset}-{'' if last is None else last}"}
    if not validator:
        return asked
    if not (validator.header.isascii() and validator.header.isprintable()):
        return {}
    return asked | {"If-Range": validator.header}
