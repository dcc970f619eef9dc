"""``HttpBackend``: one request and its answer by an HTTP library.

``fetcher`` follows redirects over it; ``httpx_backend`` and ``reqwest_backend`` are the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.domain.ports import Framing, Opened
    from artifact_sync.source.links.link_url import Target

MOST_REDIRECTS = 5

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""RFC 9110, 15.4: with a ``Location`` these point elsewhere."""


class Redirected(Exception):
    """An answer that points elsewhere. Whoever sent the request decides; no library ever does."""

    def __init__(self, status: int, location: bytes) -> None:
        self.status = status
        self.location = location
        super().__init__(f"redirected with status {status}")


class NotCarried(Exception):
    """The answer is none that this carrier can hand over as it came: another one is to ask."""


class HttpBackend(Protocol):
    """Sends one GET, follows nothing, keeps no cookies, sends no credentials but the link."""

    def send(
        self, target: Target, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Opened] | None:
        """The answer, whose body is read within the block and given up at its end.

        None: it cannot send this very target byte for byte; another carrier must. Entering raises
        ``Redirected``, ``NotCarried``, and what ``Fetcher.open`` raises but
        ``RefusedResponse``.
        """


def framing(status: int, headers: Mapping[str, str]) -> Framing:
    """How a body's end is marked (RFC 9112, 6.3), by the answer's headers in lower case."""
    if "transfer-encoding" in headers:
        return "chunked"  # carriers refuse every other transfer coding
    bodiless = status in {204, 304}
    return "length" if bodiless or "content-length" in headers else "close"
