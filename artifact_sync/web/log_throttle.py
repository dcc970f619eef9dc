"""Limits log lines that clients can cause."""

from __future__ import annotations

from dataclasses import dataclass, field

_PAUSE = 60.0
"""Seconds between two lines of the same kind."""


@dataclass(slots=True)
class LogThrottle:
    """Counts events and says when to log them. Times are monotonic."""

    pause: float = _PAUSE
    _since: int = field(default=0, init=False)
    _last: float | None = field(default=None, init=False)

    def due(self, now: float) -> int:
        """Count an event; return the number of events to log, else 0."""
        self._since += 1
        if self._last is not None and now - self._last < self.pause:
            return 0
        times, self._since, self._last = self._since, 0, now
        return times
