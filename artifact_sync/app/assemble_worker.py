"""Assembles a worker: a service whose passes are jobs, and a planner."""

from __future__ import annotations

import asyncio
import platform
import random
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.daemon_engine import started
from artifact_sync.app.locations import ledger_url
from artifact_sync.app.service import Service
from artifact_sync.daemon.background import restarting
from artifact_sync.daemon.context import DaemonContext
from artifact_sync.daemon.job_agenda import JobAgenda
from artifact_sync.daemon.planner import Planner, PlannerPorts, PlannerTimers
from artifact_sync.daemon.progress import EventFanout, PassProgress
from artifact_sync.daemon.repositories import Lags, WatchedRepositories
from artifact_sync.daemon.schedule.outage import Outage
from artifact_sync.daemon.worker import (
    SLOTS,
    JobRunner,
    PatientLock,
    WakeTeller,
)
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.jobs import JobKind
from artifact_sync.ledger import location
from artifact_sync.runtime.clock import SystemClock
from artifact_sync.runtime.tasks import end_of, running_beside
from artifact_sync.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.app.daemon_engine import LiveEngine
    from artifact_sync.app.fleet_member import FleetMember
    from artifact_sync.app.service import ProcessContext
    from artifact_sync.daemon.schedule.turn_source import TurnSource
    from artifact_sync.domain.ports import JobQueue, Lease, TurnBoard
    from artifact_sync.domain.settings import Config

SIGN = 10.0
"""Seconds between two signs of life of a worker's jobs."""
_GIVING_BACK = 5.0
"""Seconds in which jobs go back to the queue at the end; others find those that do not."""


class Fleet(Struct, frozen=True):
    """What one worker shares with the others."""

    queue: JobQueue
    board: TurnBoard
    member: FleetMember
    lock: Callable[[], AbstractAsyncContextManager[Lease | None]]
    """The planner's."""
    timers: PlannerTimers


def server_url(config: Config) -> str:
    """The ledger's URL. ``UsageError`` where it is no server that many can share."""
    server = location(ledger_url(config)).server if config.ledger.url else ""
    if not server:
        raise UsageError(
            "workers share a ledger in PostgreSQL: set ledger.url to postgresql://…, or run"
            " artifact-sync daemon, which needs no server"
        )
    return server


@asynccontextmanager
async def worker(
    config: Config, process: ProcessContext, name: str | None, sign: float = SIGN
) -> AsyncGenerator[WorkerService]:
    """A worker. ``UsageError``, ``DiskError``, ``LedgerUnreachable``."""
    url, clock = server_url(config), SystemClock()
    progress, repositories = PassProgress(clock), WatchedRepositories(config.repo)
    metrics = Metrics(clock, lambda: {str(repo) for repo in repositories.entries})
    observer = EventFanout([progress, metrics])
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(started(config, observer, process.read_token))
        fleet = await _fleet(url, engine, stack, sign)
        engine.lock = PatientLock(engine.lock)
        rng = random.Random()  # noqa: S311 - no secret depends on it
        agenda, alone = JobAgenda(Outage(rng)), DaemonContext.of(engine, progress, repositories)
        context = replace(alone, agenda=agenda)
        service = WorkerService(engine, context, metrics, process)
        service.join(fleet, agenda, name)
        yield service


async def _fleet(url: str, engine: LiveEngine, stack: AsyncExitStack, sign: float) -> Fleet:
    try:
        from artifact_sync.fleet import job_queue  # noqa: PLC0415 - an extra
        from artifact_sync.fleet.turn_board import PostgresTurnBoard  # noqa: PLC0415 - likewise
    except ImportError:
        raise UsageError("workers need Procrastinate: pip install 'artifact-sync[fleet]'") from None
    member = engine.member
    if member is None:
        raise ValueError("the ledger is on no server")
    mirror, database = member.mirror, member.database
    await job_queue.make_tables(database)
    timers = job_queue.QueueTimers(sign, 1.5 * sign, sign / 2)
    return Fleet(
        await stack.enter_async_context(job_queue.open_queue(url, mirror, timers)),
        PostgresTurnBoard(database, mirror),
        member,
        member.planner_lock,
        PlannerTimers(min(1.0, sign / 4), sign / 2),
    )


class WorkerService(Service):
    """A worker with everything that runs beside its jobs. Made by ``worker``."""

    def join(self, fleet: Fleet, agenda: JobAgenda, name: str | None) -> None:
        """Work with others from now on."""
        self._fleet = fleet
        self._agenda = agenda
        self._name = name or platform.node()
        seams = (fleet.lock, fleet.queue, fleet.board, self._engine.clock, fleet.timers)
        ports = PlannerPorts(*seams, self._metrics.retaken)
        self._planner = Planner(ports, lambda: self._engine.config)
        self._working: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Begin no job any more; see ``Service``."""
        super().stop()
        self._begin_no_more()

    def _begin_no_more(self) -> None:
        """Have the queue begin no job; once, for again would break off the end of others."""
        if self._working is not None and not self._working.cancelling():
            self._working.cancel()

    async def run(self) -> None:
        """Work until ``stop``; see ``DaemonService``."""
        chores = {
            JobKind.PRUNE: self._prune,
            JobKind.SCRUB: self._scrub.look,
            JobKind.HOOKS: self._hooks.tell,
        }
        board, agenda = self._fleet.board, self._agenda
        count = self._metrics.job
        runner = JobRunner(agenda, board, self._context, self._scheduler, chores, count)
        async with self._web.listening(), running_beside(*self._background()):
            self._working = asyncio.create_task(self._fleet.queue.work(runner.carry_out, SLOTS))
            self._scheduler.tried.set()
            try:
                await self._scheduler.run()
            finally:
                self._agenda.close()
                self._begin_no_more()
                await end_of(self._working, _GIVING_BACK)
        self._check_may_go_on()

    def _planned(self) -> tuple[TurnSource, Lags]:
        """The planner tells of all repositories, and of the service; other workers of none."""
        planning = self._planner.planning
        return (self._agenda, Lags()) if planning is None else (planning.agenda, planning.lags)

    def _plans(self) -> bool:
        return self._planner.planning is not None

    async def _prune(self) -> None:
        await self._engine.prune_by_schedule(self._scheduler.auditor.lock)

    def _background(self) -> Iterator[Awaitable[None]]:
        clock, fleet = self._engine.clock, self._fleet
        yield from self._beside()
        yield restarting("planning", self._planner.run, clock, most=5.0)
        teller = WakeTeller(self._agenda, fleet.board, fleet.queue, self._scheduler.look)
        yield restarting("telling of webhooks", teller.run, clock, most=5.0)
        beat = fleet.member.worker_beat(self._context, self._name, self._plans)
        yield restarting("telling others of this worker", beat.run, clock, most=5.0)
