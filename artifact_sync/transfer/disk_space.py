"""Room on the mirror's file system: never filled up, and measured only as often as is needed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RESERVE = 1 << 20
"""Bytes that are always left free, so that the ledger can still say what happened."""

_GOOD_FOR = 0.1
"""Seconds for which a measurement counts ..."""
_SHARE = 16
"""... while no more than this part of the room that it found has been given away since."""


class DiskSpace:
    """Gives room away. Blocking where it measures; safe from many threads."""

    def __init__(self, free: Callable[[], int], min_free: int = 0) -> None:
        """``free``: bytes free on the file system. ``min_free``: bytes that must stay so."""
        self._free = free
        self._least = max(min_free, _RESERVE)
        self._allowance = 0
        self._until = 0.0
        self._promised = 0
        """Bytes that have been given away and are not written yet."""
        self._lock = threading.Lock()

    def known(self, size: int) -> bool:
        """Whether there is room for so many bytes, as a late measurement tells. Never waits."""
        return size <= self._allowance and monotonic() <= self._until

    def look(self) -> None:
        """Raise ``NoSpace`` where there is no room for anything."""
        with self.taken(0):
            pass

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Room for so many bytes, which are written in the block.

        Raises ``NoSpace`` rather than fill the file system up with them.
        """
        self._take(size)
        try:
            yield
        finally:
            with self._lock:
                self._promised -= size

    def _take(self, size: int) -> None:
        with self._lock:
            if self.known(size):
                self._allowance -= size
                self._promised += size
                return
        free = self._free()  # of a disk that may hang: nobody is to wait for us meanwhile
        with self._lock:
            room = free - self._promised - size - self._least
            if room < 0:
                raise self._none(free)
            self._promised += size
            self._allowance = room // _SHARE
            self._until = monotonic() + _GOOD_FOR

    def _none(self, free: int) -> NoSpace:
        return NoSpace(
            f"no space: {free >> 20:,} MiB are free in the mirror's file system, and"
            f" {self._least >> 20:,} MiB must stay so (mirror.min_free): free some and run it again"
        )
