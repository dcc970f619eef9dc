"""A line in the log that others can provoke: at most once in a while, and how often it was."""

from __future__ import annotations

from dataclasses import dataclass, field

_PAUSE = 60.0
"""Seconds between two lines of the same kind."""


@dataclass(slots=True)
class LogThrottle:
    """Counts what happens and says when it is time for a line. Times are monotonic."""

    pause: float = _PAUSE
    _since: int = field(default=0, init=False)
    _last: float | None = field(default=None, init=False)

    def due(self, now: float) -> int:
        """It has happened once more; how often since the last line if one is due, else 0."""
        self._since += 1
        if self._last is not None and now - self._last < self.pause:
            return 0
        times, self._since, self._last = self._since, 0, now
        return times
