"""Limits the bandwidth of all downloads together by a token bucket.

The bucket fills by the monotonic clock. The wall clock only chooses the timetable's rate.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from artifact_sync.domain.timetable import rate_at

if TYPE_CHECKING:
    from datetime import tzinfo

    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import Timetable

_BURST = 0.25
"""Seconds whose bytes fill the bucket."""

_CHUNK = 64 * 1024
"""Bytes that the bucket holds at any rate: what comes from the network in one piece."""

_LOOK = 1.0
"""Seconds until the rate is looked up again, and the longest sleep."""

_CRUMB = 0.5
"""Bytes that a sleep may miss by rounding."""


class BandwidthLimiter:
    """Token bucket over bytes, first come, first served. On one event loop."""

    def __init__(self, timetable: Timetable, clock: Clock, zone: tzinfo) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._allowed: int | None = None
        self._burst = 0.0
        self._credit = 0.0
        """Bytes that may be spent now; below zero: already spent."""
        self._counted = clock.monotonic()
        """The moment that the credit is of."""
        self.change(timetable, zone)

    async def take(self, count: int) -> None:
        """Wait until so many bytes may pass; without a limit, return at once.

        More than the bucket holds waits for a full bucket; the next caller waits for the rest.
        A cancelled wait has spent nothing.
        """
        if not self._timetable:
            return
        async with self._turn:
            while (seconds := self._short_of(count)) > 0:
                await self._clock.sleep(min(seconds, _LOOK))
            self._credit -= count

    def rate(self) -> int | None:
        """The present limit in bytes a second; None: no limit. Thread-safe."""
        if not self._timetable:
            return None
        local = self._clock.now().astimezone(self._zone)
        return rate_at(self._timetable, local.hour * 60 + local.minute)

    def change(self, timetable: Timetable, zone: tzinfo) -> None:
        """Use another timetable; those who wait already follow within a second."""
        self._timetable = timetable
        self._zone = zone
        self._look_at = -inf

    def _short_of(self, count: int) -> float:
        """Seconds until so many bytes may be spent at the present rate."""
        self._fill()
        if self._allowed is None:
            return 0.0
        missing = min(count, self._burst) - self._credit
        return missing / self._allowed if missing > _CRUMB else 0.0

    def _fill(self) -> None:
        """Fill the bucket up to this moment; look the rate up now and then."""
        now = self._clock.monotonic()
        if self._allowed is not None:
            earned = (now - self._counted) * self._allowed
            self._credit = min(self._credit + earned, self._burst)
        self._counted = now
        if now >= self._look_at:
            self._look_at = now + _LOOK if len(self._timetable) > 1 else inf
            self._allow(self.rate())

    def _allow(self, rate: int | None) -> None:
        """Change the rate. After no limit the bucket starts full, else its content stays."""
        if rate == self._allowed or rate is None:
            self._allowed = rate
            return
        self._burst = max(rate * _BURST, _CHUNK)
        self._credit = self._burst if self._allowed is None else min(self._credit, self._burst)
        self._allowed = rate
