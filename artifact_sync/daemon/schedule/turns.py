"""Values of the agenda: moments, due times with jitter, turns, ends, notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from artifact_sync.domain.cron import Cron, local_zone, time_zone

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import DaemonSettings, RepoSettings


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """The service cannot be used for any repository."""

    kind: PassVerdict
    """``UNREACHABLE``: it does not answer. ``REFUSED``: it refuses the token."""
    why: str


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """The service answers again, or has another problem now."""

    kind: PassVerdict
    seconds: float


@dataclass(frozen=True, slots=True)
class RepoFailing:
    """A repository fails while others do not. Reported once."""

    repo: RepoName
    why: str


@dataclass(frozen=True, slots=True)
class RepoRecovered:
    """A repository that was reported as failing works again, after so many seconds."""

    repo: RepoName
    after: float


@dataclass(frozen=True, slots=True)
class RunGivenUp:
    """A run that a webhook had announced did not appear as finished in time."""

    repo: RepoName
    run: str


@dataclass(frozen=True, slots=True)
class OrganisationListed:
    """The list of an organisation has changed."""

    org: str
    new: int
    gone: int


Notice = OutageBegan | OutageEnded | RepoFailing | RepoRecovered | RunGivenUp | OrganisationListed


class Why(StrEnum):
    """Why a pass over a repository begins."""

    FIRST = "first"
    """It was just added."""
    INTERVAL = "interval"
    CRON = "cron"
    WEBHOOK = "webhook"
    """A webhook says that a run has ended; or such a run has not appeared yet."""
    USER = "user"
    RESTORE = "restore"
    """Mirrored files were damaged."""
    AGAIN = "again"
    """What kept it from being complete may be over: no space, the token, the root."""
    OUTSTANDING = "outstanding"
    """Something that was not there yet may be now."""
    RETRY = "retry"
    """The last turn failed."""
    CATCH_UP = "catch-up"
    """It became due while the machine slept, or when the clock was set forward."""


class PassVerdict(StrEnum):
    """What the end of a pass says of its repository or the service."""

    WELL = "well"
    """The pass was carried out, whatever it found."""
    FAILED = "failed"
    """The service answers, but the pass failed."""
    UNREACHABLE = "unreachable"
    """The service does not answer."""
    REFUSED = "refused"
    """The service refuses the token, which concerns every repository."""
    UNASKED = "unasked"
    """The turn failed before the service was asked, of which it says nothing."""
    BUSY = "busy"
    """Another process works on the repository."""


_W = TypeVar("_W", Why, PassVerdict)


def told(word: str, otherwise: _W) -> _W:
    """What a worker means by a word.

    ``otherwise`` for one that only its own version knows.
    """
    try:
        return type(otherwise)(word)
    except ValueError:
        return otherwise


@dataclass(frozen=True, slots=True)
class Turn:
    """A pass over a repository that begins now."""

    repo: RepoName
    why: Why
    eager: bool = False
    """Also check what was put off."""
    announced: tuple[str, ...] = ()
    """Runs that webhooks have announced and that have not finished, as far as is known."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a turn ended."""

    verdict: PassVerdict
    error: str = ""
    """What went wrong, in a sentence."""
    finished: tuple[str, ...] = ()
    """The announced runs that are finished by the ledger."""
    again_at: datetime | None = None
    """When something outstanding is due, by the wall clock; None: nothing is outstanding."""


@dataclass(frozen=True, slots=True)
class EarlierTurn:
    """The last turn over a repository, as another process has left it."""

    repo: RepoName
    began_ago: float
    """Seconds."""
    announced: tuple[str, ...] = ()
    failures: int = 0
    """Failed turns in a row, with this one."""
    running: bool = False
    ended: Ended | None = None
    """None: it is under way, or it was lost."""
    ended_ago: float = 0.0


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """The state of a repository on the schedule."""

    repo: RepoName
    running: bool
    why: Why
    """Why it runs, or is due next."""
    due_in: float | None
    """Seconds until it is due; 0: as soon as there is room; None: it runs."""
    overdue: float
    """Seconds for which it has been due without a turn, or with the service unavailable."""
    failing: int
    """Failed turns in a row."""
    error: str
    """Of the last turn; empty: it succeeded."""


_DRIFT = 5.0
"""Seconds by which the clocks may drift apart before it counts as a jump."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by two clocks."""

    monotonic: float
    """Seconds; never goes back, and may stop while the machine sleeps."""
    wall: datetime
    """In UTC; may jump either way."""

    def before(self, seconds: float) -> Moment:
        """So many seconds ago."""
        return Moment(self.monotonic - seconds, self.wall - timedelta(seconds=seconds))

    def until(self, wall: datetime) -> float:
        """Seconds until a time of the wall clock; negative: it is past."""
        return (wall - self.wall).total_seconds()


class Clocks:
    """Detects jumps of the wall clock against the monotonic one.

    It compares with the last jump, and not with the last call, so that small drifts add up.
    """

    def __init__(self) -> None:
        self._agreed: Moment | None = None

    def jump(self, moment: Moment) -> float:
        """Seconds that the wall clock has jumped forward; negative: back.

        0: there was no jump.
        """
        if self._agreed is None:
            self._agreed = moment
        passed = moment.monotonic - self._agreed.monotonic
        gained = -moment.until(self._agreed.wall) - passed
        if abs(gained) < _DRIFT:
            return 0.0
        self._agreed = moment
        return gained


_SHORTEST = 0.9
"""The smallest factor of jitter, which only shortens delays."""
_CRON_JITTER = 0.5
"""Seconds within which a pass begins after its cron time."""
_NO_TIME = 3600.0
"""Seconds until cron is evaluated again when it has no next time, as with a clock far off."""
_FIRST_RETRY = 60.0
_LAST_RETRY = 3600.0
_MOST_DOUBLINGS = 30
"""Beyond any limit, and still no overflow."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A pass every so many seconds at the latest, from begin to begin."""

    seconds: float


Rhythm = Interval | Cron


@dataclass(frozen=True, slots=True)
class Due:
    """When a pass over a repository is due, and why."""

    at: float
    """On the monotonic clock."""
    why: Why
    wall: datetime | None = None
    """The wall clock's time from cron, before which it is never due."""


def rhythm_of(settings: RepoSettings, daemon: DaemonSettings) -> Rhythm:
    """A repository's own cron or interval, or else the daemon's interval.

    ``ValueError`` for an unknown time zone.
    """
    if settings.cron is not None:
        name = settings.time_zone or daemon.time_zone
        return Cron(settings.cron, time_zone(name) if name else local_zone())
    return Interval(daemon.interval if settings.interval is None else settings.interval)


def due_after(rhythm: Rhythm, began: Moment, moment: Moment, rng: Random) -> Due:
    """When the next pass after ``began`` is due, perhaps in the past."""
    if isinstance(rhythm, Interval):
        return Due(began.monotonic + jittered(rhythm.seconds, rng), Why.INTERVAL)
    try:
        # A pass begun while the clock was ahead must not delay the next one.
        wall = rhythm.next_after(min(began.wall, moment.wall))
    except (ValueError, OverflowError):
        return Due(moment.monotonic + _NO_TIME, Why.CRON)
    jitter = rng.uniform(0.0, _CRON_JITTER)
    return Due(moment.monotonic + moment.until(wall) + jitter, Why.CRON, wall)


def jittered(seconds: float, rng: Random) -> float:
    """A slightly shorter delay, so that equal delays spread out."""
    return seconds * rng.uniform(_SHORTEST, 1.0)


def retry_delay(rhythm: Rhythm, failures: int, rng: Random) -> float:
    """Seconds until the next pass after failures: doubles, up to an hour."""
    usual = rhythm.seconds if isinstance(rhythm, Interval) else _FIRST_RETRY
    first = max(1.0, min(usual, _FIRST_RETRY))
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return jittered(min(_LAST_RETRY, first * 2.0**doublings), rng)
