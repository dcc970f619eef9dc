"""What the agenda and those who carry it out say to each other about one repository."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from artifact_sync.domain.model import RepoName


class Why(StrEnum):
    """Why a repository is looked at."""

    FIRST = "first"
    """It has just become one of ours."""
    INTERVAL = "interval"
    CRON = "cron"
    WEBHOOK = "webhook"
    """The service says that a run has ended; or one that it announced has not shown up yet."""
    USER = "user"
    RESTORE = "restore"
    """Somebody has damaged what is mirrored of it."""
    AGAIN = "again"
    """What kept it from being complete may be over: space, the token, the mirror's root."""
    OUTSTANDING = "outstanding"
    """Something that was not there yet is worth another look."""
    RETRY = "retry"
    """The last look could not be carried out."""
    CATCH_UP = "catch-up"
    """It would have been looked at while the machine slept, or the clock was put on past it."""


class PassVerdict(StrEnum):
    """What a pass that has ended says of its repository, or of the service."""

    WELL = "well"
    """It was looked at, whatever was found."""
    FAILED = "failed"
    """The service answers, but this repository could not be looked at."""
    UNREACHABLE = "unreachable"
    """The service does not answer, as far as this pass can tell."""
    REFUSED = "refused"
    """The service refuses the token, which concerns every repository."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A repository whose turn it is."""

    repo: RepoName
    why: Why
    eager: bool = False
    """Also look at what was put off."""
    announced: tuple[str, ...] = ()
    """Runs that webhooks have announced and that are not known to be finished."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a turn has ended."""

    verdict: PassVerdict
    error: str = ""
    """What went wrong, in a sentence."""
    finished: tuple[str, ...] = ()
    """Those of the announced runs that the ledger now has as finished."""
    again_at: datetime | None = None
    """When something outstanding of the repository is due, by the wall clock; None: nothing is."""


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """How a repository stands."""

    repo: RepoName
    running: bool
    why: Why
    """Why it runs, or will be looked at next."""
    due_in: float | None
    """Seconds until it is due; 0: as soon as there is room; None: it runs."""
    overdue: float
    """Seconds for which a look has been due that has not begun, or found no service."""
    failing: int
    """Looks in a row that could not be carried out."""
    error: str
    """Of the last look; empty: nothing went wrong."""
    announced: tuple[str, ...] = ()
    """Runs that webhooks have announced and that are not known to be finished."""
