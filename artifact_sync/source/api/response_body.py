"""Receives an API body up to a limit, and unpacks gzip.

httpx's own decoders are not used: they take any number of codings, and unpack each piece whole
before anybody can look at its size, so that a kilobyte may become a gigabyte.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_PLAIN = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})
"""RFC 9110, 8.4.1.3: the second is the first one's old name."""
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
"""What zlib calls a gzip header and trailer (RFC 1952) around the data."""


class UnknownCoding(Exception):
    """The body has a content coding that was not requested."""


class BrokenCoding(Exception):
    """The body does not match its content coding."""


class ResponseBody:
    """A body in pieces. ``UnknownCoding`` unless it is plain or gzip."""

    def __init__(self, headers: httpx.Headers, limit: int) -> None:
        self.content = bytearray()
        """The unpacked bytes so far; at most one more than the limit."""
        self._limit = limit
        self._came = 0
        self._gzip = zlib.decompressobj(_GZIP_FORMAT) if _packed(headers) else None

    @property
    def too_long(self) -> bool:
        """Whether the body, packed or unpacked, exceeds the limit."""
        return max(self._came, len(self.content)) > self._limit

    def take(self, data: bytes) -> None:
        """Add a piece, up to the limit. ``BrokenCoding`` when it cannot be unpacked."""
        self._came += len(data)
        room = self._limit + 1 - len(self.content)
        if room <= 0:
            return
        if self._gzip is None:
            self.content += data[:room]
            return
        try:
            self.content += self._gzip.decompress(data, room)
        except zlib.error as error:
            raise BrokenCoding from error
        if self._gzip.unused_data:
            raise BrokenCoding

    def end(self) -> None:
        """Finish. ``BrokenCoding`` when the body is incomplete."""
        if self._gzip is not None and not self._gzip.eof:
            raise BrokenCoding


def _packed(headers: httpx.Headers) -> bool:
    """Whether the body is gzip."""
    named = (it.strip().lower() for it in headers.get("content-encoding", "").split(","))
    codings = [it for it in named if it not in _PLAIN]
    if len(codings) > 1 or not _GZIP.issuperset(codings):
        raise UnknownCoding
    return bool(codings)
