"""Reserves free disk space for writes, so that the file system never fills up."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from artifact_sync.domain.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RESERVE = 1 << 20
"""Bytes that always stay free, so that the ledger can still be written."""

_GOOD_FOR = 0.1
"""Seconds for which a measurement counts ..."""
_SHARE = 16
"""... while no more than this share of the free space has been reserved since."""


class DiskSpace:
    """Reservations of free space. Blocks where it measures; safe from many threads."""

    def __init__(
        self,
        free: Callable[[], int | None],
        min_free: int = 0,
        where: str = "the mirror's file system",
    ) -> None:
        """``free``: bytes free on the file system; None: not known, so write and see.

        ``min_free``: bytes that must stay free. ``where``: it in words.
        """
        self._free = free
        self._where = where
        self._least = max(min_free, _RESERVE)
        self._why = " (mirror.min_free)" if min_free > _RESERVE else ", whatever is configured"
        self._allowance = 0.0
        self._until = 0.0
        self._promised = 0
        """Bytes reserved and not written yet."""
        self._lock = threading.Lock()

    def known(self, size: int) -> bool:
        """Whether so many bytes are free by a recent measurement. Never blocks."""
        return size <= self._allowance and monotonic() <= self._until

    def look(self) -> None:
        """Raise ``NoSpace`` when nothing may be written."""
        with self.taken(0):
            pass

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Reserve so many bytes, which are written within the block. ``NoSpace``."""
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
            room = inf if free is None else free - self._promised - size - self._least
            if room < 0:
                raise self._none(free or 0)
            self._promised += size
            self._allowance = room / _SHARE
            self._until = monotonic() + _GOOD_FOR

    def _none(self, free: int) -> NoSpace:
        return NoSpace(
            f"no space: {free >> 20:,} MiB are free in {self._where}, and"
            f" {self._least >> 20:,} MiB must stay so{self._why}: free some and run it again"
        )
