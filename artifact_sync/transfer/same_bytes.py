"""Finds mirrored files of the bytes that a download brings.

Downloads of the same bytes take turns: one is published and recorded before the next one is, so
that this finds it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self
from weakref import WeakValueDictionary

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from artifact_sync.domain.model import MirrorPath, SameFile

Turns = WeakValueDictionary[str, asyncio.Lock]
"""Whose turn it is, by SHA-256."""


class SameBytes(Struct, frozen=True):
    """How files that are here already are found."""

    find: Callable[[str], Awaitable[Sequence[SameFile]]]
    """By a SHA-256."""
    before_download: bool = False
    """Whether what is known to be here is not downloaded."""
    turns: Turns = field(default_factory=Turns)
    """Shared by downloads at the same time."""


class ContentTurn:
    """One download's turn at its bytes, which ends with the block."""

    def __init__(self, same_bytes: SameBytes) -> None:
        self._same_bytes = same_bytes
        self._sha256 = ""
        self._lock: asyncio.Lock | None = None

    @property
    def before_download(self) -> bool:
        """Whether what is known to be here is not downloaded."""
        return self._same_bytes.before_download

    async def files(self, sha256: str, path: MirrorPath) -> Sequence[SameFile]:
        """Wait for the turn; other mirrored files of these bytes than the path's."""
        if self._lock is None or sha256 != self._sha256:
            self.end()
            lock = self._same_bytes.turns.setdefault(sha256, asyncio.Lock())
            await lock.acquire()
            self._sha256, self._lock = sha256, lock
        found = await self._same_bytes.find(sha256)
        return [it for it in found if it.path != path]

    def end(self) -> None:
        """Let others have their turn."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
