"""When the service deletes a run's artifacts: its creation and the retention. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from artifact_sync.domain.model import RepoName

SOON = 2 * 86_400.0
"""Seconds before it vanishes from which on an artifact that is not mirrored is told of."""

_FIRST = datetime.min.replace(tzinfo=UTC)


class CreationWindow(Struct, frozen=True):
    """The runs that vanish within some time, by their creation."""

    after: datetime
    """What was created then, or earlier, has vanished already."""
    until: datetime
    """What was created later vanishes later."""

    @classmethod
    def of(cls, now: datetime, retention: float, within: float) -> CreationWindow:
        """What vanishes within some seconds from now; ``retention`` in seconds."""
        return cls(_ago(now, retention), _ago(now, retention - within))


Urgency = tuple[int, float]
"""The smaller, the sooner a run is to be looked at."""


def urgency(created_at: datetime | None, vanished: datetime) -> Urgency:
    """What vanishes first comes first; then undated runs; last what has vanished, newest first.

    ``vanished``: what was created then, or earlier, is believed to have vanished.
    """
    if created_at is None:
        return (1, 0.0)
    age = created_at.timestamp()
    return (0, age) if created_at > vanished else (2, -age)


class Endangered(Struct, frozen=True):
    """Counts of a repository's artifacts that may be, or are, lost for good."""

    repo: RepoName
    vanishing: int = 0
    """Not here, and about to vanish upstream."""
    failing: int = 0
    """Those of them whose last try has failed."""
    expired: int = 0
    """Wanted since upstream has forgotten them."""
    gone: int = 0
    """Wanted in time, and vanished before they came."""
    lost: int = 0
    """Were here, are not any more, and upstream has forgotten them, or did not give them again."""
    shared_bytes: int = 0
    """Nothing that is lost: bytes that its files save, in the blocks of others."""


def vanishing_time(created_at: datetime | None, retention: float) -> datetime | None:
    """When the artifacts of a run vanish; None: nobody knows."""
    if created_at is None:
        return None
    try:
        return created_at + timedelta(seconds=retention)
    except OverflowError:
        return None


def _ago(now: datetime, seconds: float) -> datetime:
    """Some seconds ago, or ahead if negative; the ends of the calendar beyond them."""
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return _FIRST if seconds > 0 else datetime.max.replace(tzinfo=UTC)
