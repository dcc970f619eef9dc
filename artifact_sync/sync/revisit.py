"""When something outstanding is looked at again: ever less often. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_FIRST_LOOK = timedelta(minutes=1)
LAST_LOOK = timedelta(hours=6)
"""The longest delay until the next look at something that may come, ..."""
LAST_RETRY = timedelta(hours=1)
"""... and at something that has failed."""


def next_look_time(looks: int, now: datetime, most: timedelta = LAST_LOOK) -> datetime:
    """When to look again: exponential backoff, at most ``most``."""
    delay: timedelta = min(_FIRST_LOOK * 2 ** min(looks, 16), most)
    return now + delay


def is_due(next_look: datetime | None, now: datetime) -> bool:
    """Whether a look is due, also after a clock that was wrong."""
    return next_look is None or not now < next_look <= now + LAST_LOOK
