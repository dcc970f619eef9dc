"""Hashes one file at a time by a token bucket, on its own thread."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC
from typing import TYPE_CHECKING

from artifact_sync.domain.timetable import timetable_of
from artifact_sync.runtime.tasks import first_of
from artifact_sync.runtime.threads import Offload, Threads
from artifact_sync.transfer.bandwidth import BandwidthLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.domain.model import MirrorPath
    from artifact_sync.domain.ports import Clock, WatchedMirror

_BLOCK = 1 << 20
"""Bytes that are paid for together; the mirror reads as many at a time."""

_PATIENCE = 1.0
"""Seconds that a reading has to end when it is broken off; a disk may hang."""


class PacedReader:
    """Hashes files at a rate, which may change meanwhile. On one event loop."""

    def __init__(self, mirror: WatchedMirror, clock: Clock) -> None:
        self._mirror = mirror
        self._limiter = BandwidthLimiter((), clock, UTC)
        self._offload = Offload(Threads(1, "scrub"))
        self._rate = 0
        self.counted: Callable[[int], None] = lambda _: None
        """Called with bytes that are about to be read."""

    def limit(self, rate: int) -> None:
        """Read at so many bytes a second from now on; 0: at any speed."""
        if rate != self._rate:
            self._rate = rate
            self._limiter.change(timetable_of({0: rate or None}), UTC)

    async def digest(self, path: MirrorPath, size: int) -> tuple[int, str] | None:
        """Hash a file of about this size; None: there is none. ``DiskError``.

        Cancelling it ends the reading, but for a block that the disk may hang in.
        """
        reading = _Reading(self, size)
        await reading.pay()
        work = self._offload.start(self._hash, path, reading.must_stop)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            reading.stop()
            await asyncio.wait([work], timeout=_PATIENCE)
            raise
        return work.result()

    def _hash(self, path: MirrorPath, stop: Callable[[], bool]) -> tuple[int, str] | None:
        """Hash a file as it is on the disk, and leave the memory to files that are in use."""
        self._mirror.uncache(path)
        try:
            return self._mirror.digest(path, stop)
        finally:
            self._mirror.uncache(path)

    async def pay(self, count: int) -> None:
        """Wait until so many bytes may be read."""
        self.counted(count)
        await self._limiter.take(count)


class _Reading:
    """One file that is read; its thread pays on the event loop before each block."""

    def __init__(self, reader: PacedReader, size: int) -> None:
        self._reader = reader
        self._left = size
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Have the thread end soon. On the event loop."""
        self._stopped.set()
        self._stopping.set()

    def must_stop(self) -> bool:
        """Wait for the next block's turn; whether to stop instead. On the thread."""
        if not self._stopped.is_set() and self._left > 0:
            asyncio.run_coroutine_threadsafe(self._pay_or_stop(), self._loop).result()
        return self._stopped.is_set()

    async def pay(self) -> None:
        """Wait until the next block may be read."""
        block = min(self._left, _BLOCK)
        self._left -= block
        await self._reader.pay(block)

    async def _pay_or_stop(self) -> None:
        if not self._stopping.is_set():
            await first_of(self.pay(), self._stopping.wait())
