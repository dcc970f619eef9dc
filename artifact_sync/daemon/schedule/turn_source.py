"""Protocol of where turns come from: the schedule, or jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from artifact_sync.daemon.schedule.outage import Outage
    from artifact_sync.daemon.schedule.turns import (
        Ended,
        Moment,
        Notice,
        OrganisationListed,
        Rhythm,
        ScheduleState,
        Turn,
        Why,
    )
    from artifact_sync.domain.model import RepoName


class TurnSource(Protocol):
    """What ``Scheduler`` carries out. ``Agenda`` says more of each call. None waits."""

    outage: Outage
    """Whether the service can be used."""

    def assign(self, repos: Mapping[RepoName, Rhythm], moment: Moment, /) -> None:
        """Look after exactly these."""

    def wake(
        self,
        repo: RepoName,
        why: Why,
        moment: Moment,
        /,
        *,
        run: str | None = None,
        eager: bool = False,
    ) -> bool:
        """Have a turn over a repository soon; False: nobody looks after it."""

    def wake_all(self, why: Why, moment: Moment, /, *, eager: bool = False) -> None:
        """Have a turn over every repository soon."""

    def take(
        self, moment: Moment, room: int, busy: Collection[RepoName] = (), /, *, extra: int = 0
    ) -> list[Turn]:
        """Begin turns."""

    def answered(self, repo: RepoName, moment: Moment, /) -> tuple[Notice, ...]:
        """The service has answered a running pass."""

    def listed(self, listed: OrganisationListed, /) -> tuple[Notice, ...]:
        """The list of an organisation has changed; what to log."""

    def ended(self, repo: RepoName, ended: Ended, moment: Moment, /) -> tuple[Notice, ...]:
        """End a turn; what to log."""

    def next_in(self, moment: Moment, /) -> float | None:
        """Seconds until ``take`` may return a turn; None: not before another call."""

    def queue(self, moment: Moment, /) -> int:
        """How many turns are due and have not begun."""

    def states(self, moment: Moment, /) -> list[ScheduleState]:
        """The state of each repository."""
