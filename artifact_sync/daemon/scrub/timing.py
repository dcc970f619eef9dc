"""When files are due to be read again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artifact_sync.domain.verification import DueWindow

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.settings import VerifySettings

_MARGIN = 1.25
"""Reading begins so much earlier than it must at the full rate: passes have it wait."""

_LONGEST, _SHORTEST, _OFTEN = 60.0, 1.0, 20.0
"""Seconds between two looks for what is due, at most and at least, and looks in ``every``."""


def due_window(now: datetime, settings: VerifySettings, size: int) -> DueWindow:
    """What is due now in a mirror of so many bytes.

    Reading begins early enough that at the configured rate no file gets older than ``every``: files
    may all have come on one day.
    """
    lead = _MARGIN * size / settings.rate if settings.rate else 0.0
    return DueWindow.of(now, max(settings.every - lead, 0.0))


def pause(settings: VerifySettings) -> float:
    """Seconds until the next look for what is due."""
    if not settings.every:
        return _LONGEST
    return min(max(settings.every / _OFTEN, _SHORTEST), _LONGEST)
