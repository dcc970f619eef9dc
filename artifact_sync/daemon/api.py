"""Answers the queries and commands of the control socket and the web."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from artifact_sync.daemon.health import ledger_trouble
from artifact_sync.daemon.schedule.turns import Why
from artifact_sync.domain.errors import Interrupted
from artifact_sync.domain.keeping import Pin
from artifact_sync.domain.model import RepoName, RunKey
from artifact_sync.domain.report import Report
from artifact_sync.domain.status import (
    ConfigState,
    DaemonState,
    RepoState,
    RepoStatus,
    ScrubState,
    ServiceState,
    StatusAnswer,
    WatchState,
)
from artifact_sync.runtime.units import counted, size_in_words
from artifact_sync.sync.forget import MirrorKeeper
from artifact_sync.sync.latest import point_latest
from artifact_sync.sync.pin import pin_run, unpin_run
from artifact_sync.sync.prune import keep_of, prune
from artifact_sync.sync.verify import DAMAGE, repair_pass, runs_of
from artifact_sync.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from datetime import datetime

    from artifact_sync.daemon.context import DaemonContext
    from artifact_sync.daemon.repositories import Lags
    from artifact_sync.daemon.schedule.turn_source import TurnSource
    from artifact_sync.daemon.schedule.turns import ScheduleState
    from artifact_sync.daemon.scheduler import Scheduler
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.forget_rules import ForgetRule, ForgetScope
    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.keeping import PlannedRun
    from artifact_sync.domain.model import Totals
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.verification import VerifiedFile

    ReadFleet = Callable[[], Awaitable[FleetState | None]]

_LEDGER_TIMEOUT = 5.0
"""Seconds after which a ledger that does not answer makes the daemon not ready."""


async def no_fleet() -> FleetState | None:
    """Where there can be no workers."""
    return None


@dataclass(slots=True)
class DaemonApi:
    """Queries and commands for a running daemon, on its event loop."""

    context: DaemonContext
    scheduler: Scheduler
    since: datetime
    """When the daemon was started."""
    config: Callable[[], ConfigState] = ConfigState
    watch: Callable[[], WatchState] = WatchState
    scrub: Callable[[], ScrubState] = ScrubState
    fleet: ReadFleet = no_fleet
    """Reads what all workers do. ``LedgerUnreachable``."""
    planned: Callable[[], tuple[TurnSource, Lags]] | None = None
    """The schedule of all workers and how far repositories are behind; None: this process's own."""

    @property
    def schedule(self) -> tuple[TurnSource, Lags]:
        """What is scheduled, and how far repositories are behind."""
        return self.planned() if self.planned else (self.context.agenda, self.context.lags)

    def wake(self, repo: RepoName, run: str | None = None) -> bool:
        """Have a pass over a repository soon, where ``run`` has ended. False: not watched.

        Returns at once. Many calls before the pass begins make one pass.
        """
        return self.scheduler.wake(repo, Why.WEBHOOK, run)

    def live(self) -> DaemonState:
        """The state now. Cheap."""
        context, (agenda, _) = self.context, self.schedule
        engine, moment = context.engine, context.moment
        return DaemonState(
            pid=os.getpid(),
            version=VERSION,
            since=self.since.isoformat(timespec="seconds"),
            stopping=self.scheduler.stopping.is_set(),
            config=self.config(),
            service=self.service,
            passes=context.progress.passes(),
            queue=agenda.queue(moment),
            downloads=engine.drain.inside,
            rate=round(context.progress.rate, 1),
            limit=engine.allowed(),
            free=context.health.free,
            trouble=context.health.troubles,
            watch=self.watch(),
            scrub=self.scrub(),
            repositories=tuple(map(self._repository, agenda.states(moment))),
        )

    @property
    def service(self) -> ServiceState:
        """Whether the service answers."""
        outage = self.schedule[0].outage
        since = outage.since.isoformat(timespec="seconds") if outage.since is not None else ""
        return ServiceState(reachable=outage.reachable, since=since, why=outage.why)

    def _repository(self, state: ScheduleState) -> RepoState:
        return RepoState(
            repo=str(state.repo),
            running=state.running,
            due_in=state.due_in,
            why=str(state.why),
            failing=state.failing,
            error=state.error,
            lag=round(self._lag(state), 1),
        )

    def _lag(self, state: ScheduleState) -> float:
        now = self.context.moment.monotonic
        return self.schedule[1].lag(state.repo, now, state.overdue)

    async def status(self) -> dict[str, Any]:
        """The object of ``status --json``: the ledger's ``repositories``, and ``daemon``.

        ``ArtifactSyncError`` when the ledger cannot be read.
        """
        totals = await self.context.engine.ledger.all_totals()
        endangered = self.context.endangered
        vanishing = {it.repo: it.vanishing for it in await endangered.count()}
        repos = [
            RepoStatus.of(
                self._updated(it), vanishing.get(it.repo, 0), endangered.displaced.get(it.repo, 0)
            )
            for it in totals
        ]
        answer = StatusAnswer(repositories=repos, daemon=self.live())
        found: dict[str, Any] = msgspec.to_builtins(answer.with_fleet(await self.fleet()))
        return found

    def _updated(self, totals: Totals) -> Totals:
        """The totals with the ends of passes that the ledger has not recorded."""
        moment = self.context.moment
        ages = self.context.lags.ages(totals.repo, moment.monotonic)
        ends = [moment.wall - timedelta(seconds=age) if age is not None else None for age in ages]
        return msgspec.structs.replace(
            totals,
            last_pass=_later(totals.last_pass, ends[0]),
            last_complete=_later(totals.last_complete, ends[1]),
        )

    async def unready(self) -> Sequence[str]:
        """Why the daemon is not ready, a sentence each; empty: it is."""
        ledger = await ledger_trouble(self.context.engine, _LEDGER_TIMEOUT)
        return [*filter(None, [ledger]), *self._troubles()]

    def _troubles(self) -> Iterator[str]:
        if not self.scheduler.tried.is_set():
            yield "the first listing has not been tried yet"
        if not self.service.reachable:
            yield f"the service cannot be used since {self.service.since}: {self.service.why}"
        yield from self.context.health.troubles
        yield from self.context.endangered.troubles
        alert = self.context.engine.config.daemon.lag_alert
        for state in self.schedule[0].states(self.context.moment):
            if (lag := self._lag(state)) > alert:
                yield f"{state.repo} lags by {lag:.0f} s"

    def missed(self) -> Sequence[str]:
        """What is lost for good, a sentence each.

        The daemon is ready all the same: it can do no more.
        """
        return list(self.context.endangered.notes)

    async def carry_out(self, request: PassRequest, observer: Observer) -> Report:
        """Run a pass for a user who waits, after one over the same repository.

        Cancelling the caller does not cancel the pass. ``ArtifactSyncError`` when it could not
        begin, such as ``Interrupted`` when the daemon is stopping.
        """
        if self.scheduler.stopping.is_set():
            raise Interrupted("the daemon is stopping: run the command again when it has ended")
        await self.scheduler.try_refresh_token()  # the user may have replaced it just now
        work = self.scheduler.carry_out(request, observer)
        await asyncio.wait([work])
        if work.cancelled():
            raise Interrupted("the daemon was stopped before it was done")
        for repo in (RepoName.parse(settings.name) for settings in request.repos):
            if self.context.lags.is_behind(repo):  # something was missing before the user's pass
                self.scheduler.wake(repo, Why.USER)
        return work.result().report

    async def repair(self, repo: RepoName, runs: Sequence[str], observer: Observer) -> Report:
        """Repair what is damaged in runs of a repository, and its links ``latest``.

        As ``carry_out``. Only what the daemon itself finds damaged is touched.
        """
        engine, auditor = self.context.engine, self.scheduler.auditor
        await self._keeper(observer).finish(repo)
        async with aclosing(auditor.look_at([RunKey(repo, run) for run in runs])) as findings:
            damage = [it async for it in findings if it.condition in DAMAGE]
        await auditor.request(damage, engine.clock.now())
        report = Report()
        if damaged := runs_of(damage).get(repo):
            report = await self.carry_out(repair_pass(repo, damaged), observer)
        await point_latest(engine.ledger, engine.mirror, engine.layout, engine.offload, repo)
        return report

    async def note_verified(self, repo: RepoName, files: Sequence[VerifiedFile]) -> Report:
        """Note files of a repository that a command has found as recorded."""
        engine = self.context.engine
        rows = [it.row(repo) for it in files]
        await engine.ledger.note_verified(rows, engine.clock.now())
        return Report()

    async def forget(self, rule: ForgetRule, observer: Observer) -> Report:
        """Let go of what a rule says, behind a pass over its repository."""
        await self._keeper(observer).forget(rule)
        self._look_again(rule.scope.repo)
        return Report()

    async def remember(self, scope: ForgetScope, observer: Observer) -> Report:
        """Take back what was let go, and have a pass look at it."""
        await self._keeper(observer).remember(scope)
        self._look_again(scope.repo)
        return Report()

    async def prune(
        self, repo: RepoName, runs: Sequence[PlannedRun], observer: Observer, *, agreed: bool
    ) -> Report:
        """Prune runs of a repository as planned, behind a pass over it."""
        share = 1.0 if agreed else keep_of(self.context.engine.config, repo).max_share
        await prune(self._keeper(observer), repo, runs, max_share=share)
        self.scheduler.forget_unchanged()
        return Report()

    async def pin(self, run: RunKey, reason: str, observer: Observer) -> Report:
        """Pin a run, behind a pass over its repository."""
        now = self.context.engine.clock.now()
        await pin_run(self._keeper(observer), Pin(run, reason, now))
        self._look_again(run.repo)
        return Report()

    async def unpin(self, run: RunKey, observer: Observer) -> Report:
        """Take the pin of a run away, behind a pass over its repository."""
        await unpin_run(self._keeper(observer), run)
        self._look_again(run.repo)
        return Report()

    def _look_again(self, repo: RepoName) -> None:
        self.scheduler.forget_unchanged()
        self.scheduler.look_again(frozenset({repo}), Why.USER)

    def _keeper(self, observer: Observer) -> MirrorKeeper:
        if self.scheduler.stopping.is_set():
            raise Interrupted("the daemon is stopping: run the command again when it has ended")
        engine, auditor = self.context.engine, self.scheduler.auditor
        return MirrorKeeper(
            ledger=engine.ledger,
            mirror=engine.mirror,
            latest=engine.mirror,
            lock=auditor.lock,
            layout=engine.layout,
            offload=engine.offload,
            clock=engine.clock,
            origin=engine.config.source.host,
            observer=observer,
        )


def _later(*moments: datetime | None) -> datetime | None:
    return max(filter(None, moments), default=None)


def status_line(state: DaemonState) -> str:
    """Describe the state in one line, problems first."""
    return "; ".join([*_wrong(state), _doing(state)])


def _wrong(state: DaemonState) -> Iterator[str]:
    yield from state.trouble
    if not state.service.reachable:
        yield f"the service cannot be used since {state.service.since}"
    if state.config.problems:
        yield "the configuration file is not valid, the one before is used"
    failing = sum(1 for repo in state.repositories if repo.failing)
    if failing and state.service.reachable:
        yield f"{failing} failing"


def _doing(state: DaemonState) -> str:
    if state.stopping:
        return f"stopping, {counted(state.downloads, 'file')} in flight"
    if not state.passes:
        return f"{_repositories(state)}, {_next(state)}"
    planned = sum(it.planned for it in state.passes)
    done = sum(it.done + it.failed for it in state.passes)
    looking = f"looking at {len(state.passes)} of {_repositories(state)}"
    if not planned:
        return looking
    arrived = size_in_words(sum(it.bytes for it in state.passes))
    return f"{looking}: {done}/{counted(planned, 'file')}, {arrived}, {size_in_words(state.rate)}/s"


def _repositories(state: DaemonState) -> str:
    names = [it for it in state.repositories if not it.is_star]
    return counted(len(names), "repository", "repositories")


def _next(state: DaemonState) -> str:
    waits = [it.due_in for it in state.repositories if it.due_in is not None]
    return f"next look in {_duration(min(waits))}" if waits else "nothing to look at"


def _duration(seconds: float) -> str:
    """Coarse, so that the line does not change all the time."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "under a minute"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"  # noqa: PLR2004 - two hours
