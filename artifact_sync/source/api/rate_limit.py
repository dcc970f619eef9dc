"""When a request may be sent: even spacing, and the service's ``Retry-After``."""

from __future__ import annotations

import asyncio
from math import inf

from msgspec import Struct

Subject = tuple[str, ...]
"""What a request is about: a repository, or the list of an organisation."""

_LONGEST = 3600.0
"""Seconds: one odd ``Retry-After`` must not silence a daemon for days."""
_LONGEST_FOR_ONE = 30.0
"""Seconds for which one subject holds up all requests."""
_WINDOW = 300.0
"""Seconds within which one subject holds up all requests only once."""
_TOGETHER = 60.0
"""Seconds within which the holds of two subjects are meant for all requests."""


class EvenRate:
    """Schedules ``rate`` turns a second, evenly, without bursts."""

    def __init__(self, rate: float) -> None:
        self._apart = 1 / rate
        self._next = 0.0

    def take(self, now: float) -> float:
        """Take the next turn; return the seconds until it. ``now`` is monotonic."""
        turn = max(now, self._next)
        self._next = turn + self._apart
        return turn - now


class LocalTurns:
    """``ports.RequestTurns`` of a process that shares its limit with no other."""

    def __init__(self, rate: float) -> None:
        self._rate = EvenRate(rate) if 0 < rate < inf else None

    async def take(self) -> None:
        """Wait for the next turn."""
        if self._rate is not None:
            await asyncio.sleep(self._rate.take(asyncio.get_running_loop().time()))

    def hold(self, subject: str, seconds: float) -> None:
        """Tell nobody: there are no others."""

    def held(self, _: str) -> float:
        """Nobody else asks."""
        return 0.0


class _Hold(Struct):
    """The latest hold of one subject. Monotonic times."""

    at: float
    until: float
    window: float
    """When it first held up all requests, within the window."""


class RetryAfterHolds:
    """Holds that the service has asked for.

    A subject keeps its own, an hour at most. It holds up all requests for half a minute, and when
    two subjects were put on hold within a minute, for as long as both have to wait.
    """

    def __init__(self) -> None:
        self._holds: dict[Subject, _Hold] = {}
        self._for_all = -inf

    def add(self, subject: Subject, seconds: float, now: float) -> None:
        """Note a hold of so many seconds, from an answer about a subject."""
        for old in [it for it, hold in self._holds.items() if _is_past(hold, now)]:
            del self._holds[old]
        known = self._holds.get(subject)
        fresh = known is None or now - known.window >= _WINDOW
        window = now if known is None or fresh else known.window
        until = max(now + min(seconds, _LONGEST), known.until if known is not None else -inf)
        self._holds[subject] = _Hold(now, until, window)
        lately = sorted(it.until for it in self._holds.values() if now - it.at <= _TOGETHER)
        both = lately[-2] if len(lately) > 1 else -inf
        self._for_all = max(self._for_all, both, min(until, window + _LONGEST_FOR_ONE))

    @property
    def for_all(self) -> float:
        """The monotonic time before which nothing must be requested."""
        return self._for_all

    def until(self, subject: Subject) -> float:
        """The monotonic time before which the subject must not be requested."""
        hold = self._holds.get(subject)
        return self._for_all if hold is None else max(self._for_all, hold.until)


def _is_past(hold: _Hold, now: float) -> bool:
    return hold.until <= now and now - hold.window >= _WINDOW
