"""Rates by the time of day.

A day is 1,440 minutes, whatever daylight saving makes of it: a minute that the clocks leave out or
show twice is looked up as they show it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.settings import Timetable

TIME = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
"""Pattern of a whole text that ``parse_time`` reads."""


def parse_time(text: str) -> int:
    """Parse ``08:30`` or ``8:30`` to a minute. ``ValueError`` when it is neither."""
    if not re.fullmatch(TIME, text):
        msg = "expected a time of the day from 00:00 to 23:59"
        raise ValueError(msg)
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def format_time(minute: int) -> str:
    """Format a minute of the day as ``08:30``."""
    return f"{minute // 60:02}:{minute % 60:02}"


def timetable_of(rates: Mapping[int, int | None]) -> Timetable:
    """Make a timetable: each rate holds from its minute to the next one.

    Before the first one the last of the day before holds. Where nothing changes nothing stands, so
    that equal timetables are equal values.
    """
    if not rates:
        return ()
    ordered = sorted(rates.items())
    before: int | None = ordered[-1][1]
    changes = [(0, before)] if ordered[0][0] else []
    for minute, rate in ordered:
        if rate != before or not minute:
            changes.append((minute, rate))
        before = rate
    return () if changes == [(0, None)] else tuple(changes)


def rate_at(timetable: Timetable, minute_of_day: int) -> int | None:
    """Bytes a second at a minute of the day, 0 to 1,439; None: unlimited."""
    if not timetable:
        return None
    return timetable[bisect_right(timetable, minute_of_day, key=itemgetter(0)) - 1][1]
