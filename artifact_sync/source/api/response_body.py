"""The body of an API's answer as it arrives: never more of it than a limit, gzip undone. No I/O.

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
    """The body is packed in a way that was not asked for."""


class Broken(Exception):
    """What came is not what its content coding promises."""


class ResponseBody:
    """A body piece by piece. ``UnknownCoding`` when the headers tell of one that is not undone."""

    def __init__(self, headers: httpx.Headers, limit: int) -> None:
        self.content = bytearray()
        """What has come so far, unpacked; at most one byte longer than the limit."""
        self._limit = limit
        self._came = 0
        self._gzip = zlib.decompressobj(_GZIP_FORMAT) if _packed(headers) else None

    @property
    def too_long(self) -> bool:
        """Whether more has come, packed or unpacked, than the limit allows."""
        return max(self._came, len(self.content)) > self._limit

    def take(self, data: bytes) -> None:
        """Add a piece, or what the limit leaves of it. ``Broken`` when it can't be unpacked."""
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
            raise Broken from error
        if self._gzip.unused_data:
            raise Broken

    def end(self) -> None:
        """Nothing more comes. ``Broken`` when something should."""
        if self._gzip is not None and not self._gzip.eof:
            raise Broken


def _packed(headers: httpx.Headers) -> bool:
    """Whether the body is gzip."""
    named = (it.strip().lower() for it in headers.get("content-encoding", "").split(","))
    codings = [it for it in named if it not in _PLAIN]
    if len(codings) > 1 or not _GZIP.issuperset(codings):
        raise UnknownCoding
    return bool(codings)
