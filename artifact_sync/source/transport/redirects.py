"""Redirects, which no library follows for us."""

from __future__ import annotations

MOST_REDIRECTS = 5

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""RFC 9110, 15.4: with a ``Location`` these point elsewhere."""


class Redirected(Exception):
    """An answer that points elsewhere. The sender of the request decides whether to follow."""

    def __init__(self, status: int, location: bytes) -> None:
        self.status = status
        self.location = location
        super().__init__(f"redirected with status {status}")
