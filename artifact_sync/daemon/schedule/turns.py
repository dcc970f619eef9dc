"""Values exchanged with the agenda: turns, ends, states, notices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.model import RepoName


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


Notice = OutageBegan | OutageEnded | RepoFailing | RepoRecovered | RunGivenUp


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
    announced: tuple[str, ...] = ()
    """Runs that webhooks have announced and that have not finished, as far as is known."""
