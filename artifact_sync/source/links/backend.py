"""Protocol of an HTTP library that downloads from links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.domain.ports import Framing, Opened
    from artifact_sync.source.links.link_url import Target


class TryNextBackend(Exception):
    """This backend cannot give the answer as it came; another one must ask."""


class HttpBackend(Protocol):
    """Sends one GET, follows nothing, keeps no cookies, sends no credentials but the link."""

    def send(
        self, target: Target, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Opened] | None:
        """Open the target. The body is readable within the block only.

        None: this backend cannot send the target byte for byte; another one must. Entering raises
        ``Redirected``, ``TryNextBackend``, and what ``Fetcher.open`` raises but
        ``RefusedResponse``.
        """


def framing(status: int, headers: Mapping[str, str]) -> Framing:
    """How the end of a body is marked (RFC 9112, 6.3). Lower-case names."""
    if "transfer-encoding" in headers:
        return "chunked"  # backends refuse every other transfer coding
    bodiless = status in {204, 304}
    return "length" if bodiless or "content-length" in headers else "close"
