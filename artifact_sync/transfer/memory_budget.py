"""Bounds the memory that all bodies being received take together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.domain.ports import Chunk

BLOCK = 256 * 1024
"""Bytes of a body that are gathered before they are written. A file of no more is small."""

_FEW = 4
"""Up to so many bodies chunks are kept as they came, in buffers that may be larger."""


class MemoryBudget:
    """Counts the bodies being received, each within a ``with`` block. On one event loop."""

    def __init__(self) -> None:
        self._bodies = 0

    def keep(self, chunk: Chunk) -> Chunk:
        """The chunk, or a copy of it that holds no larger buffer."""
        return chunk if self._bodies <= _FEW else bytes(chunk)

    def __enter__(self) -> None:
        self._bodies += 1

    def __exit__(self, *_: object) -> None:
        self._bodies -= 1
