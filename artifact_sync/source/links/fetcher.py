"""The ``Fetcher``: opens a link, follows redirects, and leaves each request to a carrier.

What a link looks like on the wire is ``target``'s; what an answer is worth is the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.errors import HostUntrusted, LinkUnusable, RefusedResponse
from artifact_sync.source.links.backend import MOST_REDIRECTS, NotCarried, Redirected
from artifact_sync.source.links.link_url import NotALink, Target, parse_target, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from artifact_sync.domain.model import Link, Validator
    from artifact_sync.domain.ports import Opened
    from artifact_sync.source.links.backends import Carriers


class HttpFetcher:
    """The ``Fetcher`` over carriers, which their owner closes."""

    def __init__(self, carriers: Carriers) -> None:
        self._carriers = carriers

    def open(
        self,
        link: Link,
        offset: int = 0,
        validator: Validator | None = None,
        last: int | None = None,
    ) -> AbstractAsyncContextManager[Opened]:
        """Open a link, from ``offset`` on if the server will; the contract is ``Fetcher``'s."""
        return _Opening(self._carriers, link, _range(offset, validator, last))


class _Opening:
    """One link being opened: the request whose answer is no redirect stays open."""

    def __init__(self, carriers: Carriers, link: Link, headers: Mapping[str, str]) -> None:
        self._carriers = carriers
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
        """The answer that is no redirect."""
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
        """By the first carrier that may. What one does not trust is for the next to judge."""
        trouble: Exception | None = None
        for carrier in await self._carriers.ready():
            sent = carrier.send(target, self._headers)
            if sent is not None:
                self._sent = sent
                try:
                    return await sent.__aenter__()
                except (HostUntrusted, NotCarried) as error:
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
        following = resolve(target, redirect.location)
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
