"""Notices for the log: when a problem begins or ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.daemon.schedule.turns import PassVerdict
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
