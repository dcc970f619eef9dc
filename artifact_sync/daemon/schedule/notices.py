"""What is worth a line in the log: once when a trouble begins, once when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifact_sync.daemon.schedule.turns import PassVerdict
    from artifact_sync.domain.model import RepoName


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """The service cannot be used by anybody."""

    kind: PassVerdict
    """``UNREACHABLE``: it does not answer. ``REFUSED``: it refuses the token."""
    why: str


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """The service can be used again, after so many seconds; or its trouble is another one now."""

    kind: PassVerdict
    seconds: float


@dataclass(frozen=True, slots=True)
class RepoFailing:
    """A repository cannot be looked at, while others can. Said once, however long it lasts."""

    repo: RepoName
    why: str


@dataclass(frozen=True, slots=True)
class RepoRecovered:
    """A repository that was said to be failing was looked at, after so many seconds."""

    repo: RepoName
    after: float


@dataclass(frozen=True, slots=True)
class RunGivenUp:
    """A run that a webhook has announced did not show up as finished in all the time it had."""

    repo: RepoName
    run: str


Notice = OutageBegan | OutageEnded | RepoFailing | RepoRecovered | RunGivenUp
