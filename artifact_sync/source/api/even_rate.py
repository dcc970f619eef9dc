"""Rate limit that spaces requests evenly, without bursts."""

from __future__ import annotations


class EvenRate:
    """Schedules ``rate`` turns a second."""

    def __init__(self, rate: float) -> None:
        self._apart = 1 / rate
        self._next = 0.0

    def take(self, now: float) -> float:
        """Take the next turn; return the seconds until it. ``now`` is monotonic."""
        turn = max(now, self._next)
        self._next = turn + self._apart
        return turn - now
