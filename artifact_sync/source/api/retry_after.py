"""Who has to wait how long for a ``Retry-After``. Pure: time comes in as a value; nothing waits."""

from __future__ import annotations

from math import inf

from msgspec import Struct

Subject = tuple[str, ...]
"""What is asked about: a repository, or the list of an organisation."""

_LONGEST = 3600.0
"""Seconds: one odd ``Retry-After`` must not silence a daemon for days."""
_LONGEST_FOR_ONE = 30.0
"""Seconds that everybody waits because of one subject."""
_WINDOW = 300.0
"""Seconds within which one subject has no more than that of everybody's time."""
_TOGETHER = 60.0
"""Seconds within which two subjects have to be told so for it to be meant for everybody."""


class _Told(Struct):
    """What was said of one subject last. Monotonic times."""

    at: float
    until: float
    window: float
    """When it first made everybody wait, not too long ago."""


class Holds:
    """Rests that the service has asked for.

    The one that was told so keeps its own, an hour at most. Everybody shares it for half a minute,
    and when two were told so within a minute, for as long as both have to wait.
    """

    def __init__(self) -> None:
        self._told: dict[Subject, _Told] = {}
        self._for_all = -inf

    def tell(self, subject: Subject, seconds: float, now: float) -> None:
        """The service wants so many seconds of rest, in an answer about this subject."""
        for old in [it for it, told in self._told.items() if _is_past(told, now)]:
            del self._told[old]
        known = self._told.get(subject)
        fresh = known is None or now - known.window >= _WINDOW
        window = now if known is None or fresh else known.window
        until = max(now + min(seconds, _LONGEST), known.until if known is not None else -inf)
        self._told[subject] = _Told(now, until, window)
        lately = sorted(it.until for it in self._told.values() if now - it.at <= _TOGETHER)
        both = lately[-2] if len(lately) > 1 else -inf
        self._for_all = max(self._for_all, both, min(until, window + _LONGEST_FOR_ONE))

    def until(self, subject: Subject) -> float:
        """The monotonic time before which nothing may be asked about this subject."""
        told = self._told.get(subject)
        return self._for_all if told is None else max(self._for_all, told.until)


def _is_past(told: _Told, now: float) -> bool:
    return told.until <= now and now - told.window >= _WINDOW
