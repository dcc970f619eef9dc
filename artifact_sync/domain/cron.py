"""Cron expressions and time zones, daylight saving included.

The expressions are Debian's five fields, by ``cronsim``: names too (``MON``, ``JAN``), ``L`` for
the last day of a month, ``LW`` for its last weekday, ``MON#1`` and ``5L`` for a month's first
Monday and last Friday. Where day of month and day of week are both given, one of them is enough.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = (
    "minute (0-59)",
    "hour (0-23)",
    "day of the month (1-31, L or LW)",
    "month (1-12 or JAN-DEC)",
    "day of the week (0-7 or SUN-SAT, 0 and 7 are Sunday)",
)
_LOCALTIME = Path("/etc/localtime")
_SHOWN = 60
"""Characters of a wrong word that are shown."""

_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Start of the search for a first time; fixed, so that the verdict never changes."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone.

    A time that the clocks leave out in spring comes when they go on; one that they show twice in
    autumn comes once. Expressions for every hour or minute go by the time that passes.
    """

    expression: str
    """Checked by ``check_cron``."""
    zone: tzinfo

    def next_after(self, moment: datetime) -> datetime:
        """The first time after an aware moment, in UTC; ``ValueError``: none comes."""
        times = CronSim(self.expression, moment.astimezone(self.zone))
        # In an hour that the clocks show twice, the first of the times can lie in its first showing
        after = (time for time in (it.astimezone(UTC) for it in times) if time > moment)
        if (time := next(after, None)) is None:
            raise ValueError(_never(self.expression))
        return time


def check_cron(expression: str) -> None:
    """Check an expression; ``ValueError`` says what is wrong with it."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        msg = (
            f"expected the five fields of a cron expression (minute, hour, day of the month, month,"
            f" day of the week), such as '30 2 * * *', and there are {len(fields)}"
        )
        raise ValueError(msg)
    for place, (field, meaning) in enumerate(zip(fields, _FIELDS, strict=True)):
        if not _reads(" ".join(field if it == place else "*" for it in range(len(_FIELDS)))):
            msg = f"{field[:_SHOWN]!r} is no {meaning} in a cron expression"
            raise ValueError(msg)
    if not _reads(expression):  # each field by itself is in order
        raise ValueError(_never(expression))
    Cron(expression, UTC).next_after(_SOME_DAY)


def time_zone(name: str) -> tzinfo:
    """Look up an IANA time zone, such as ``Europe/Berlin``; ``ValueError``: unknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, ImportError) as error:
        msg = (
            f"there is no time zone {name[:_SHOWN]!r}; expected a name such as UTC or Europe/Berlin"
        )
        raise ValueError(msg) from error


def local_zone() -> tzinfo:
    """The machine's time zone: ``$TZ``, or where ``/etc/localtime`` points.

    Where these name none, the system's library is asked at each time, on any platform. A name is
    preferred: it also works where the system has no time zones of its own.
    """
    name = os.environ.get("TZ")
    if name is None:
        name = _linked()
    with suppress(ValueError):
        return time_zone(name.removeprefix(":").rpartition("zoneinfo/")[2])
    return _SystemZone()


@dataclass(frozen=True)
class _SystemZone(tzinfo):
    """Local time by the system's library."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:  # noqa: ARG002 - tzinfo's
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        seconds = moment.replace(tzinfo=UTC).timestamp()
        local = datetime.fromtimestamp(seconds)  # noqa: DTZ006 - the system's zone is what is asked for
        return local.replace(tzinfo=self)


def _linked() -> str:
    try:
        return str(_LOCALTIME.readlink())
    except OSError:
        return ""


def _reads(expression: str) -> bool:
    try:
        CronSim(expression, _SOME_DAY)
    except (CronSimError, ValueError):
        return False
    return True


def _never(expression: str) -> str:
    return f"no day ever comes that fits the cron expression {expression!r}"
