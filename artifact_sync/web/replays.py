"""Which events have been taken already: a memory that is bounded in number and in time. Pure."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

_MOST = 10_000
"""Events: some two megabytes when full."""

_LONGEST = 24 * 3600.0
"""Seconds. No time is signed that we could hold against an older one: it would cost one look."""


class Replays:
    """Remembers events by their ids. An event without one is never a repeat."""

    def __init__(self, most: int = _MOST, longest: float = _LONGEST) -> None:
        self._most = most
        self._longest = longest
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, event: str | None, now: float) -> bool:
        """Whether an event has been remembered. ``now``: seconds on the monotonic clock."""
        return event is not None and self._until.get(_short(event), now) > now

    def remember(self, event: str | None, now: float) -> None:
        """Take an event for a repeat from now on; the oldest ones are forgotten for it."""
        if event is None:
            return
        self._forget_old(now)
        self._until[_short(event)] = now + self._longest
        self._until.move_to_end(_short(event))
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    def _forget_old(self, now: float) -> None:
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)


def _short(event: str) -> bytes:
    """An id may be as long as a body; what is kept of it has 16 bytes."""
    return blake2b(event.encode("utf-8", "surrogatepass"), digest_size=16).digest()
