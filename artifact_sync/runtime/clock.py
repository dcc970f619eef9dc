"""The machine's own time, behind ``ports.Clock``."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
