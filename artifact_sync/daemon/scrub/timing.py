"""When files are due to be read again. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from artifact_sync.domain.settings import VerifySettings

_MARGIN = 1.25
"""Reading begins so much earlier than it must at the full rate: passes have it wait."""

_SLACK = timedelta(days=1)
"""By which a file may have been verified after now: clocks are set."""

_LONGEST, _SHORTEST, _OFTEN = 60.0, 1.0, 20.0
"""Seconds between two looks for what is due, at most and at least, and looks in ``every``."""

_EVER = datetime(1, 1, 1, tzinfo=UTC)


class DueWindow(NamedTuple):
    """What is due: verified before a moment, or after another by a wrong clock."""

    before: datetime
    after: datetime

    def holds(self, verified: datetime | None) -> bool:
        """Whether a file that was verified then is due."""
        return verified is None or not self.before <= verified < self.after


def due_window(now: datetime, settings: VerifySettings, size: int) -> DueWindow:
    """What is due now in a mirror of so many bytes.

    Reading begins early enough that at the configured rate no file gets older than ``every``: files
    may all have come on one day.
    """
    lead = _MARGIN * size / settings.rate if settings.rate else 0.0
    age = timedelta(seconds=max(settings.every - lead, 0.0))
    before = now - age if now - _EVER > age else _EVER
    return DueWindow(before, now + _SLACK)


def pause(settings: VerifySettings) -> float:
    """Seconds until the next look for what is due."""
    if not settings.every:
        return _LONGEST
    return min(max(settings.every / _OFTEN, _SHORTEST), _LONGEST)
