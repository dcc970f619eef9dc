"""How long to wait before a file that is damaged over and over is restored once more. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from artifact_sync.domain.model import MirrorPath

_FIRST, _LONGEST = 1.0, 300.0
"""Seconds before the second restoration; each one after it waits twice as long, up to these."""

_PEACE = 3600.0
"""Seconds without damage after which a file's past is forgotten."""

_REMEMBERED = 20_000
"""Files at most."""


class _Past(NamedTuple):
    last: float
    delay: float


class RestoreBackoff:
    """Restores at once what is damaged for the first time, and ever later what is again."""

    def __init__(self) -> None:
        self._past: dict[MirrorPath, _Past] = {}

    def delay(self, path: MirrorPath, now: float) -> float:
        """Seconds to wait; ``now`` in seconds on a monotonic clock. Each call counts as damage."""
        past = self._past.pop(path, None)
        delay = 0.0
        if past is not None and now - past.last < past.delay + _PEACE:
            delay = min(max(2 * past.delay, _FIRST), _LONGEST)
        self._past[path] = _Past(now, delay)
        if len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]
        return delay
