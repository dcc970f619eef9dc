"""How often a repository is looked at, and when that makes it due the next time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.turns import Why
from artifact_sync.domain.cron import Cron, local_zone, time_zone

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from artifact_sync.daemon.schedule.clocks import Moment
    from artifact_sync.domain.settings import DaemonSettings, RepoSettings

_SHORTEST = 0.9
"""The least part of a delay that jitter leaves. It never lengthens one."""
_CRON_JITTER = 0.5
"""Seconds after a time of cron within which a look begins."""
_NO_TIME = 3600.0
"""Seconds until cron is asked again when it has no time to tell, as with a clock far off."""
_FIRST_RETRY = 60.0
_LAST_RETRY = 3600.0
_MOST_DOUBLINGS = 30
"""Beyond any limit, and still a float."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A look every so many seconds at the latest, from begin to begin."""

    seconds: float


Rhythm = Interval | Cron


@dataclass(frozen=True, slots=True)
class Due:
    """When a repository is to be looked at, and why."""

    at: float
    """On the monotonic clock."""
    why: Why
    wall: datetime | None = None
    """By the wall clock, which alone counts for cron: never before this."""


def rhythm_of(settings: RepoSettings, daemon: DaemonSettings) -> Rhythm:
    """A repository's own cron or interval, or else the daemon's interval.

    ``ValueError`` for a time zone that there is none of.
    """
    if settings.cron is not None:
        name = settings.time_zone or daemon.time_zone
        return Cron(settings.cron, time_zone(name) if name else local_zone())
    return Interval(daemon.interval if settings.interval is None else settings.interval)


def due_after(rhythm: Rhythm, began: Moment, moment: Moment, rng: Random) -> Due:
    """When the next look is due after one that began at ``began``; may lie in the past."""
    if isinstance(rhythm, Interval):
        return Due(began.monotonic + jittered(rhythm.seconds, rng), Why.INTERVAL)
    try:
        # A look that began in a future which proved wrong must not put off the next one.
        wall = rhythm.next_after(min(began.wall, moment.wall))
    except (ValueError, OverflowError):
        return Due(moment.monotonic + _NO_TIME, Why.CRON)
    jitter = rng.uniform(0.0, _CRON_JITTER)
    return Due(moment.monotonic + moment.until(wall) + jitter, Why.CRON, wall)


def jittered(seconds: float, rng: Random) -> float:
    """A little less, so that many with the same delay do not march in step."""
    return seconds * rng.uniform(_SHORTEST, 1.0)


def retry_delay(rhythm: Rhythm, failures: int, rng: Random) -> float:
    """Seconds until the next look after so many failures in a row: doubles, up to an hour."""
    usual = rhythm.seconds if isinstance(rhythm, Interval) else _FIRST_RETRY
    first = max(1.0, min(usual, _FIRST_RETRY))
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return jittered(min(_LAST_RETRY, first * 2.0**doublings), rng)
