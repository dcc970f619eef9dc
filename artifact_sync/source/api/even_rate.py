"""A rate of requests, evenly spaced over all callers, without bursts. Pure."""

from __future__ import annotations


class EvenRate:
    """Gives callers their turns, so many a second."""

    def __init__(self, rate: float) -> None:
        self._apart = 1 / rate
        self._next = 0.0

    def take(self, now: float) -> float:
        """Take the next turn; how many seconds it is away. ``now`` is monotonic."""
        turn = max(now, self._next)
        self._next = turn + self._apart
        return turn - now
