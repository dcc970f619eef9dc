"""How many bytes of a body are gathered before they are written: the fewer, the more bodies come.

A large block is cheap, many of them are not small: this bounds what all downloads have in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.domain.ports import Chunk

SMALL = 256 * 1024
"""Bytes of which a file has no more to be small; no block has less."""

_LARGEST = 1024 * 1024
_ALTOGETHER = 4 * 1024 * 1024
_FEW = 4
"""Bodies of which pieces are kept as they came, in buffers that may be larger than they are."""


class MemoryBudget:
    """The bodies that are coming. On one event loop."""

    def __init__(self) -> None:
        self._bodies = 0

    @property
    def block(self) -> int:
        """Bytes that each of them may gather now."""
        return max(SMALL, min(_LARGEST, _ALTOGETHER // max(self._bodies, 1)))

    def keep(self, chunk: Chunk) -> Chunk:
        """The chunk, or a copy that keeps no more memory than it has bytes."""
        return chunk if self._bodies <= _FEW else bytes(chunk)

    def __enter__(self) -> None:
        self._bodies += 1

    def __exit__(self, *_: object) -> None:
        self._bodies -= 1
