"""Turns of a worker: its jobs, instead of a schedule of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.daemon.schedule.turns import ScheduleState
from artifact_sync.domain.jobs import ANSWERED, Wake
from artifact_sync.domain.model import RepoName

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from artifact_sync.daemon.schedule.outage import Outage
    from artifact_sync.daemon.schedule.turns import (
        Ended,
        Moment,
        Notice,
        OrganisationListed,
        Rhythm,
        Turn,
        Why,
    )


@dataclass(slots=True, eq=False)
class _HandedTurn:
    turn: Turn
    ended: asyncio.Future[Ended | None]
    probe: bool
    begun: bool = False


class JobAgenda:
    """``TurnSource`` of jobs, which a worker hands in. On one event loop."""

    def __init__(self, outage: Outage) -> None:
        self.outage = outage
        self.wakes: deque[Wake] = deque()
        """What the planner is still to be told."""
        self.changed = asyncio.Event()
        """Set when there are turns to begin, or wakes to tell."""
        self._waiting: deque[_HandedTurn] = deque()
        self._running: dict[RepoName, _HandedTurn] = {}
        self._assigned: Collection[RepoName] = ()
        self._closed = False

    async def carry_out(self, turn: Turn, patience: float, *, probe: bool = False) -> Ended | None:
        """Have a turn carried out; None: it was not, or not to its end.

        ``patience``: seconds for it to begin, as when the mirror is not there. ``probe``: the
        planner waits to hear whether the service answers.
        """
        if self._closed:
            return None
        handed = _HandedTurn(turn, asyncio.get_running_loop().create_future(), probe)
        self._waiting.append(handed)
        self.changed.set()
        await asyncio.wait([handed.ended], timeout=patience)
        if not handed.begun and handed in self._waiting:
            self._waiting.remove(handed)
            return None
        return await handed.ended

    def close(self) -> None:
        """Give all back that has not ended."""
        self._closed = True
        for handed in (*self._waiting, *self._running.values()):
            if not handed.ended.done():
                handed.ended.set_result(None)
        self._waiting.clear()
        self._running.clear()

    def assign(self, repos: Mapping[RepoName, Rhythm], _moment: Moment) -> None:
        """Know these; see ``TurnSource``."""
        self._assigned = repos.keys()

    def wake(
        self,
        repo: RepoName,
        why: Why,
        _moment: Moment,
        *,
        run: str | None = None,
        eager: bool = False,
    ) -> bool:
        """Tell the planner soon; see ``TurnSource``."""
        if repo not in self._assigned and RepoName.star(repo.org) not in self._assigned:
            return False
        self.wakes.append(Wake(str(repo), str(why), run, eager))
        self.changed.set()
        return True

    def wake_all(self, why: Why, _moment: Moment, *, eager: bool = False) -> None:
        """Tell the planner soon; see ``TurnSource``."""
        self.wakes.append(Wake("", str(why), None, eager))
        self.changed.set()

    def take(
        self,
        _moment: Moment,
        room: int,
        busy: Collection[RepoName] = (),
        *,
        extra: int = 0,
    ) -> list[Turn]:
        """Begin turns that were handed in; see ``TurnSource``."""
        turns: list[Turn] = []
        for handed in [it for it in self._waiting if it.turn.repo not in busy][: room + extra]:
            if handed.turn.repo in self._running:
                continue
            self._waiting.remove(handed)
            handed.begun = True
            self._running[handed.turn.repo] = handed
            turns.append(handed.turn)
        return turns

    def answered(self, repo: RepoName, _moment: Moment) -> tuple[Notice, ...]:
        """Tell the planner, who judges, of an answered probe: its pass may take hours."""
        handed = self._running.get(repo)
        if handed is not None and handed.probe:
            handed.probe = False
            self.wakes.append(Wake(str(repo), ANSWERED))
            self.changed.set()
        return ()

    def listed(self, _listed: OrganisationListed) -> tuple[Notice, ...]:
        """Say nothing: the planner does, once for all workers."""
        return ()

    def ended(self, repo: RepoName, ended: Ended, _moment: Moment) -> tuple[Notice, ...]:
        """End a turn; the planner says what is to be said of it."""
        handed = self._running.pop(repo, None)
        if handed is not None and not handed.ended.done():
            handed.ended.set_result(ended)
        return ()

    def next_in(self, _moment: Moment) -> float | None:
        """At once, or never by itself; see ``TurnSource``."""
        return 0.0 if self._waiting else None

    def queue(self, _moment: Moment) -> int:
        """Turns that have not begun; see ``TurnSource``."""
        return len(self._waiting)

    def states(self, _moment: Moment) -> list[ScheduleState]:
        """The turns of this worker; see ``TurnSource``."""
        handed = (
            ((it, True) for it in self._running.values()),
            ((it, False) for it in self._waiting),
        )
        return [
            ScheduleState(it.turn.repo, running, it.turn.why, None if running else 0.0, 0.0, 0, "")
            for every in handed
            for it, running in every
        ]
