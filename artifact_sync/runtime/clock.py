"""The system clock, as ``ports.Clock``, and what another clock says of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

_AGREEING = 86_400.0
"""Seconds by which two clocks that agree may differ."""


class SystemClock:
    """Wall clock, monotonic clock and sleep of this machine."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)


class ClockComparison:
    """What a remote clock has last said of ours."""

    def __init__(self) -> None:
        self._ahead: timedelta | None = None

    def note(self, ours: datetime, theirs: datetime | None) -> None:
        """Take both clocks at the same moment; None: the remote one said nothing."""
        if theirs is not None:
            self._ahead = ours - theirs

    @property
    def differs(self) -> bool:
        """Whether both clocks are known not to agree."""
        return self._ahead is not None and abs(self._ahead.total_seconds()) > _AGREEING

    def agreed(self, ours: datetime) -> datetime | None:
        """The earlier of both clocks; None: not known to agree."""
        if self._ahead is None or self.differs:
            return None
        return ours - max(self._ahead, timedelta())

    def latest(self, ours: datetime) -> datetime:
        """The later of both clocks, as far as they are known."""
        ahead = timedelta() if self._ahead is None else min(self._ahead, timedelta())
        try:
            return ours - ahead
        except OverflowError:  # theirs is at the end of the calendar
            return ours
