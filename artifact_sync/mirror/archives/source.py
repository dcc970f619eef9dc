"""Reads and unpacks the bytes of an archive, and counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from artifact_sync.domain.decompression import DamagedStream, decompressor
from artifact_sync.domain.errors import UnsafeArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from artifact_sync.domain.archives import ExtractLimits

BLOCK = 2**18
"""Bytes that are handed on at a time."""
_FEED = 2**16
_MOST_EMPTY = 1000
"""Streams with nothing in them, one behind the other."""
_PADDING_OF_XZ = 4
"""Bytes; between two streams of xz, and behind the last one, there may be zeros."""
_SLACK = 2**20
"""Bytes of headers and padding that do not count as what comes out."""


class ArchiveSource(Protocol):
    """A file that is read at any place. Blocking."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def read_at(self, offset: int, count: int) -> bytes:
        """So many bytes, fewer only at the end."""


class OutputBudget:
    """Counts what comes out of an archive. Raises ``UnsafeArchive`` when it is too much."""

    def __init__(self, limits: ExtractLimits, size: int, stop: Callable[[], None]) -> None:
        self._limits = limits
        self._most = min(limits.bytes, limits.ratio * size)
        self._by_ratio = limits.ratio * size < limits.bytes
        self._files = 0
        self._all = 0
        self._stop = stop

    def count(self, size: int) -> None:
        """Count bytes of a file."""
        self._stop()
        self._files += size
        if self._files > self._most:
            raise self._too_much()

    def unpacked(self, size: int) -> None:
        """Count bytes of the unpacked stream, headers and padding among them."""
        self._stop()
        self._all += size
        if self._all > self._most + max(_SLACK, self._files):
            raise self._too_much()

    def _too_much(self) -> UnsafeArchive:
        if self._by_ratio:
            why = f"{self._limits.ratio:,} times its own size (extract.max_ratio)"
        else:
            why = f"{self._limits.bytes:,} bytes (extract.max_bytes)"
        return UnsafeArchive(f"more than {why} would come of it")


class Stream:
    """Bytes in order, up to a strict end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def exactly(self, count: int) -> bytes:
        """So many bytes; fewer at the end alone."""
        while len(self._held) < count:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._held += piece
        found, self._held = self._held[:count], self._held[count:]
        return found

    def pieces(self, count: int) -> Iterator[bytes]:
        """So many bytes, piece by piece. ``UnsafeArchive`` when there are fewer."""
        left = count
        while left:
            piece = self._held or next(self._pieces, b"")
            if not piece:
                raise UnsafeArchive("it ends in the middle of a file")
            self._held = piece[left:]
            left -= min(left, len(piece))
            yield piece[: len(piece) - len(self._held)] if self._held else piece

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        if self._held:
            yield self._held
        self._held = b""
        yield from self._pieces


def plain(source: ArchiveSource, budget: OutputBudget) -> Iterator[bytes]:
    """A file's bytes as they are."""
    offset = 0
    while piece := source.read_at(offset, BLOCK):
        offset += len(piece)
        budget.unpacked(len(piece))
        yield piece


class _Feed:
    """The compressed bytes, a piece at a time."""

    def __init__(self, source: ArchiveSource) -> None:
        self._source = source
        self._offset = 0
        self.held = b""

    def take(self) -> bytes:
        """What is at hand, or some more; empty at the end."""
        if not self.held:
            self.held = self._source.read_at(self._offset, _FEED)
            self._offset += len(self.held)
        found, self.held = self.held, b""
        return found

    def is_over(self) -> bool:
        """Whether nothing is left."""
        self.held = self.take()
        return not self.held

    def pass_zeros(self) -> int:
        """Pass over bytes that are zero, and count them."""
        count = 0
        while not self.is_over():
            left = self.held.lstrip(b"\0")
            count += len(self.held) - len(left)
            self.held = left
            if left:
                break
        return count


def decompressed(source: ArchiveSource, name: str, budget: OutputBudget) -> Iterator[bytes]:
    """A file's bytes, unpacked: stream by stream up to its last byte.

    ``UnsafeArchive``, ``NoDecompressor``.
    """
    feed, empty = _Feed(source), 0
    while True:
        came = 0
        for piece in _stream(feed, name):
            budget.unpacked(len(piece))
            came += len(piece)
            yield piece
        if name == "xz" and feed.pass_zeros() % _PADDING_OF_XZ:
            raise UnsafeArchive("there are bytes behind the end of its xz that belong to nothing")
        if feed.is_over():
            return
        empty = 0 if came else empty + 1
        if empty > _MOST_EMPTY:
            raise UnsafeArchive(f"its {name} has more than {_MOST_EMPTY} empty streams")


def _stream(feed: _Feed, name: str) -> Iterator[bytes]:
    """What one stream unpacks to."""
    stream = decompressor(name)
    while not stream.eof:
        data = feed.take() if stream.needs_input else b""
        if stream.needs_input and not data:
            raise UnsafeArchive(f"its {name} ends before its end: it is cut")
        try:
            piece = stream.decompress(data, BLOCK)
        except DamagedStream as error:
            raise UnsafeArchive(f"its {name} is damaged: {error}") from None
        if piece:
            yield piece
    feed.held = stream.unused_data or feed.held
