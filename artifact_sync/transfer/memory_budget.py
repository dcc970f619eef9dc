"""Block size for writes; it shrinks as more downloads run.

Large blocks are cheap to write. Their sum over all downloads is what bounds the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.domain.ports import Chunk

SMALL = 256 * 1024
"""Most bytes of a small file, and the least of a block."""

_LARGEST = 512 * 1024
_ALTOGETHER = 2 * 1024 * 1024
"""Bytes that all bodies gather; as many again are being written."""
_FEW = 4
"""Up to so many bodies chunks are kept as they came, in buffers that may be larger."""


class MemoryBudget:
    """Counts the bodies being received, each within a ``with`` block. On one event loop."""

    def __init__(self) -> None:
        self._bodies = 0

    @property
    def block(self) -> int:
        """Bytes that each body may gather before it writes."""
        return max(SMALL, min(_LARGEST, _ALTOGETHER // max(self._bodies, 1)))

    def keep(self, chunk: Chunk) -> Chunk:
        """The chunk, or a copy of it that holds no larger buffer."""
        return chunk if self._bodies <= _FEW else bytes(chunk)

    def __enter__(self) -> None:
        self._bodies += 1

    def __exit__(self, *_: object) -> None:
        self._bodies -= 1
