"""Plans the passes of all workers, while this process holds the planner's lock.

The schedule is that of a daemon without workers. What it has to know when another planner has died
is on the board: it is restored from there, so nothing is planned twice or forgotten.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.daemon.chores import ChoreTimes
from artifact_sync.daemon.pass_log import log_notice
from artifact_sync.daemon.repositories import Lags, WatchedRepositories
from artifact_sync.daemon.schedule.agenda import Agenda
from artifact_sync.daemon.schedule.turns import (
    EarlierTurn,
    Ended,
    Moment,
    OrganisationListed,
    OutageBegan,
    OutageEnded,
    PassVerdict,
    Why,
    rhythm_of,
    told,
)
from artifact_sync.domain.jobs import ANSWERED, URGENT, Job, JobKind, PastTurn
from artifact_sync.domain.model import RepoName
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.daemon.schedule.turns import Notice, Turn
    from artifact_sync.domain.jobs import TurnEnd, Wake
    from artifact_sync.domain.ports import Clock, JobQueue, Lease, TurnBoard
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)

_ROOM = 1_000_000
"""Turns at the same time: how many run is up to the workers."""
_SHORTEST = 0.05


class PlannerTimers(Struct, frozen=True):
    """Seconds."""

    look: float = 1.0
    """Between two looks at the board."""
    sweep: float = 5.0
    """Between two looks for jobs that were lost."""


class PlannerPorts(Struct, frozen=True):
    """What the planner works with."""

    lock: Callable[[], AbstractAsyncContextManager[Lease | None]]
    """Waits until this process alone may plan."""
    queue: JobQueue
    board: TurnBoard
    clock: Clock
    timers: PlannerTimers = PlannerTimers()
    retaken: Callable[[int], None] = lambda _count: None
    """Counts jobs that go from dead workers to others."""


class Planner:
    """Waits for its turn, and plans until the lock is lost. ``run`` until cancelled."""

    def __init__(
        self,
        ports: PlannerPorts,
        config: Callable[[], Config],
    ) -> None:
        self._ports = ports
        self._config = config
        self.planning: FleetSchedule | None = None
        """What is planned; None: another process does it."""

    async def run(self) -> None:
        """FleetSchedule as long as the lock is held."""
        while True:
            async with self._ports.lock() as lease:
                if lease is None:
                    continue
                _log.info("this worker plans from now on")
                self.planning = FleetSchedule(self._ports, self._config)
                try:
                    await first_of(lease.lost(), self._plan(self.planning))
                finally:
                    self.planning = None
            _log.warning("the planner's lock was lost: another worker may plan now")

    async def _plan(self, plan: FleetSchedule) -> None:
        clock, timers = self._ports.clock, self._ports.timers
        swept, chores = clock.monotonic(), ChoreTimes()
        await plan.take_up()
        while True:
            await plan.follow()
            await plan.begin_due()
            if clock.monotonic() - swept >= timers.sweep:
                swept = clock.monotonic()
                await plan.sweep()
            await self._ports.queue.defer(chores.due(self._config(), clock.monotonic()))
            await clock.sleep(min(max(plan.next_in(), _SHORTEST), timers.look))


class FleetSchedule:
    """One planner's schedule, which the board outlives."""

    def __init__(self, ports: PlannerPorts, config: Callable[[], Config]) -> None:
        self._queue, self._board, self._clock = ports.queue, ports.board, ports.clock
        self._retaken = ports.retaken
        self._config = config
        self._followed = config()
        self.agenda = Agenda(random.Random())  # noqa: S311 - no secret depends on it
        self._repositories = WatchedRepositories(self._followed.repo)
        self._ahead = 0.0
        """Seconds by which the database's clock is ahead of ours."""
        self._heard = 0
        """The number of the last wake."""
        self._wakes: defaultdict[RepoName, list[int]] = defaultdict(list)
        """Heard of, and not served yet."""
        self.lags = Lags()
        """How far each repository is behind, by what all workers have told."""
        self._troubled: set[RepoName] = set()
        self._is_cut_off = False
        """Whether an outage has begun, and jobs still wait."""

    @property
    def moment(self) -> Moment:
        """Now, the wall clock by the database's."""
        wall = self._clock.now() + timedelta(seconds=self._ahead)
        return Moment(self._clock.monotonic(), wall)

    def next_in(self) -> float:
        """Seconds until something may be due."""
        due = self.agenda.next_in(self.moment)
        return due if due is not None else float("inf")

    async def take_up(self) -> None:
        """Go on where another planner has ended."""
        news = await self._board.news(0)
        self._set_clock(news.now)
        past, lost = await self._board.turns(), set(await self._board.lost())
        for it in past:
            if it.found is not None and self._repositories.knows_organisation(_name(it).org):
                self._repositories.found(_name(it).org, map(RepoName.parse, it.found))
        self._assign()
        for it in past:
            self._hear_lag(it)
        self.agenda.restore((self._earlier(it, lost) for it in past), self.moment)
        self._troubled = {_name(it) for it in past if it.end and it.end.verdict != PassVerdict.WELL}
        strangers = [it.repo for it in past if _name(it) not in self._repositories.entries]
        await self._board.forget(strangers)
        await self._hear_wakes(news.wakes)

    async def follow(self) -> None:
        """Follow the configuration, and what workers have told."""
        if (config := self._config()) is not self._followed:
            self._followed = config
            self._repositories.configure(config.repo)
            self._assign()
        news = await self._board.news(self._heard)
        self._set_clock(news.now)
        await self._hear_wakes(news.wakes)
        for past in news.ended:
            await self._end(past)
        if self._is_cut_off:
            await self._withdraw()

    async def _withdraw(self) -> None:
        """Take back what waits: the others need not find out that the service is down."""
        outage = self.agenda.outage
        for repo in map(RepoName.parse, await self._queue.withdraw()):
            if outage.kind is not None:
                self.agenda.ended(repo, Ended(outage.kind, outage.why), self.moment)
                self._troubled.add(repo)
        self._is_cut_off = False

    async def begin_due(self) -> None:
        """Put what is due into the queue."""
        turns = self.agenda.take(self.moment, _ROOM)
        if not turns:
            return
        wakes = [number for turn in turns for number in self._wakes.pop(turn.repo, ())]
        begun = {_name(it): it for it in await self._board.begun_since(wakes)}
        planned = [it for it in turns if it.repo not in begun]
        await self._board.plan([_planned(it) for it in planned], wakes)
        probe = not self.agenda.outage.reachable
        await self._queue.defer([_job(it, probe=probe) for it in planned])
        await self._board.announce([_planned(it) for it in turns if it.repo in begun])
        for past in begun.values():
            await self._end(past)

    async def sweep(self) -> None:
        """Put back what dead workers had in hand, and plan again what was lost."""
        if count := await self._queue.requeue_stalled():
            self._retaken(count)
            _log.warning("jobs of workers that do not answer go to others", jobs=count)
        for repo in map(RepoName.parse, await self._board.lost()):
            self.agenda.lost(repo, self.moment)

    def _assign(self) -> None:
        daemon, entries = self._followed.daemon, self._repositories.entries
        rhythms = {repo: rhythm_of(it, daemon) for repo, it in entries.items()}
        self.agenda.assign(rhythms, self.moment)
        self.lags.keep(entries.keys())

    def _set_clock(self, now: float) -> None:
        self._ahead = (datetime.fromtimestamp(now, UTC) - self._clock.now()).total_seconds()

    async def _hear_wakes(self, wakes: Sequence[Wake]) -> None:
        served = []
        for it in wakes:
            self._heard = it.number
            if it.why == ANSWERED:
                self._report(self.agenda.answered(RepoName.parse(it.repo), self.moment))
                served.append(it.number)
                continue
            if not it.repo:
                self.agenda.wake_all(told(it.why, Why.AGAIN), self.moment, eager=it.eager)
                served.append(it.number)
                continue
            repo = self._woken(it)
            if repo is None:
                served.append(it.number)
            else:
                self._wakes[repo].append(it.number)
        if served:
            await self._board.plan([], served)

    def _woken(self, it: Wake) -> RepoName | None:
        """The repository, or organisation, that was woken; None: nobody looks after it."""
        repo, why, moment = RepoName.parse(it.repo), told(it.why, Why.AGAIN), self.moment
        if self.agenda.wake(repo, why, moment, run=it.run, eager=it.eager):
            return repo
        star = RepoName.star(repo.org)
        return star if self.agenda.wake(star, why, moment) else None

    async def _end(self, past: PastTurn) -> None:
        """Hear how a turn has ended, if it has."""
        if past.end is None:
            return
        repo = _name(past)
        self._hear_lag(past)
        if repo.is_star and past.end.found is not None:
            await self._found(repo.org, map(RepoName.parse, past.end.found))
        well = past.end.verdict == PassVerdict.WELL
        (self._troubled.discard if well else self._troubled.add)(repo)
        self._report(self.agenda.ended(repo, self._ended(past.end), self.moment))

    def _hear_lag(self, past: PastTurn) -> None:
        if (repo := _name(past)) in self._repositories.entries:
            self.lags.told(repo, past, self.moment.monotonic)

    async def _found(self, org: str, listed: Iterable[RepoName]) -> None:
        added, gone = self._repositories.found(org, listed)
        if added or gone:
            self._report(self.agenda.listed(OrganisationListed(org, len(added), len(gone))))
            self._assign()
            strangers = gone - self._repositories.entries.keys()
            await self._board.forget([str(it) for it in strangers])

    def _report(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            log_notice(notice)
            self._is_cut_off = self._is_cut_off or isinstance(notice, OutageBegan)
            if isinstance(notice, OutageEnded):
                for repo in self._troubled:
                    self.agenda.wake(repo, Why.AGAIN, self.moment, eager=True)

    def _earlier(self, past: PastTurn, lost: set[str]) -> EarlierTurn:
        ended = None if past.end is None else self._ended(past.end)
        running = ended is None and past.repo not in lost
        known = (_name(past), past.began_ago, past.announced, past.failures)
        return EarlierTurn(*known, running, ended, past.ended_ago)

    def _ended(self, end: TurnEnd) -> Ended:
        seconds, wall = end.again_in, self.moment.wall
        again_at = None if seconds is None else wall + timedelta(seconds=seconds)
        return Ended(told(end.verdict, PassVerdict.FAILED), end.error, end.finished, again_at)


def _name(past: PastTurn) -> RepoName:
    return RepoName.parse(past.repo)


def _planned(turn: Turn) -> PastTurn:
    return PastTurn(str(turn.repo), str(turn.why), 0.0, turn.announced)


def _job(turn: Turn, *, probe: bool) -> Job:
    priority = URGENT if turn.why in {Why.WEBHOOK, Why.USER} else 0
    what = (str(turn.repo), str(turn.why), turn.eager, turn.announced)
    return Job(JobKind.PASS, *what, priority, probe)
