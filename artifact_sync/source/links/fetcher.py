"""Opens links by the first backend that can, as ``ports.Fetcher``.

Backends: the Rust client where it can be used, then httpx. Made when the first link is opened: a
pass with nothing new needs neither.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import HostUntrusted, LinkUnusable, RefusedResponse
from artifact_sync.domain.events import Noticed
from artifact_sync.runtime.memory import address_space
from artifact_sync.runtime.once import Once
from artifact_sync.source.links.backend import TryNextBackend
from artifact_sync.source.links.httpx_backend import HttpxBackend
from artifact_sync.source.links.link_url import NotALink, Target, parse_target, resolve_redirect
from artifact_sync.source.transport.clients import MOST_REDIRECTS, Redirected
from artifact_sync.source.transport.sanitize import one_line
from artifact_sync.version import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import httpx

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import Link, Validator
    from artifact_sync.domain.ports import Opened
    from artifact_sync.source.links.backend import HttpBackend
    from artifact_sync.source.links.reqwest_backend import ReqwestBackend
    from artifact_sync.source.transport.clients import TransportSettings
    from artifact_sync.source.transport.tls import Trust

_SLOWER = "downloads go by httpx, which is slower: the client in Rust "
_MISSING = "is not there, which pip install 'artifact-sync[fast]' brings where it has a wheel"
_LITTLE_MEMORY = "ends the program when memory is refused to it, as under this ulimit -v"
_LEAST_MEMORY = 2**32
_OTHER_THREAD = "can only be loaded in the main thread, which import pyreqwest does there"


class HttpFetcher:
    """Opens links and follows their redirects. Does not close the backends."""

    def __init__(self, backends: HttpBackends) -> None:
        self._backends = backends

    @asynccontextmanager
    async def open(
        self,
        link: Link,
        offset: int = 0,
        validator: Validator | None = None,
        last: int | None = None,
    ) -> AsyncIterator[Opened]:
        """Open a link, from ``offset`` on if the server supports it; see ``ports.Fetcher``."""
        headers = _range(offset, validator, last)
        async with AsyncExitStack() as stack:
            yield await self._follow(_target(link), headers, stack)

    async def _follow(
        self, target: Target, headers: Mapping[str, str], stack: AsyncExitStack
    ) -> Opened:
        """Send, and follow redirects to the answer that is none."""
        visited = {target}
        for _ in range(MOST_REDIRECTS + 1):
            try:
                return await self._send(target, headers, stack)
            except Redirected as redirect:
                following = _next(target, redirect)
            if following in visited:
                raise RefusedResponse(f"{following.host} redirects in a circle")
            visited.add(following)
            target = following
        raise RefusedResponse(f"{target.host}: more than {MOST_REDIRECTS} redirects")

    async def _send(
        self, target: Target, headers: Mapping[str, str], stack: AsyncExitStack
    ) -> Opened:
        """Send by the first backend that can; after a refused certificate, ask the next."""
        trouble: Exception | None = None
        for backend in await self._backends.ready():
            sent = backend.send(target, headers)
            if sent is not None:
                try:
                    return await stack.enter_async_context(sent)
                except (HostUntrusted, TryNextBackend) as error:
                    trouble = error
        raise trouble or LinkUnusable(f"nothing can carry the link to {target.host}")


class HttpBackends:
    """The backends in order of preference. ``aclose`` closes them, but not ``client``."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: TransportSettings,
        trust: Trust,
        observer: Observer,
    ) -> None:
        """``client``: from ``transport.download_client`` with these settings."""
        self._httpx = HttpxBackend(client)
        self._settings = settings
        self._trust = trust
        self._observer = observer
        self._fast: ReqwestBackend | None = None
        self.ready = Once(self._make)
        """Gives the backends, made on the first call."""

    async def aclose(self) -> None:
        """Close the Rust client, if it was made."""
        if self._fast is not None:
            await self._fast.aclose()

    async def _make(self) -> Sequence[HttpBackend]:
        if not self._settings.proxies:  # httpx knows for which hosts they are
            await self._make_fast()
        return [self._httpx] if self._fast is None else [self._fast, self._httpx]

    async def _make_fast(self) -> None:
        """Make the Rust client, or say why not."""
        reason = _reason_against()
        if reason:
            self._observer.notify(Noticed(_SLOWER + reason))
            return
        try:
            from artifact_sync.source.links.reqwest_backend import ReqwestBackend  # noqa: PLC0415 - no wheel

            making = asyncio.to_thread(ReqwestBackend.made, self._settings, self._trust, USER_AGENT)
            self._fast = await making
        except (ImportError, OSError, RuntimeError) as error:  # the last: no thread for it
            missing = isinstance(error, ModuleNotFoundError)
            reason = _MISSING if missing else f"can't be used: {one_line(str(error))}"
            self._observer.notify(Noticed(_SLOWER + reason))


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


def _reason_against() -> str:
    """Why the Rust client must not be imported here; empty when it may be.

    Its allocator belongs to the thread that loads it. Once that thread has ended, a later one
    crashes (decision 0015). Rust aborts where an allocation fails.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread and "pyreqwest" not in sys.modules:
        return _OTHER_THREAD
    return _LITTLE_MEMORY if address_space() < _LEAST_MEMORY else ""
